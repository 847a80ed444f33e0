@ Gathering on a core with 16-bit instructions only (Cortex-M0).
    .syntax unified
    .thumb

@ Bytes from r0 up to r1 into every second word from r2 on: as lower halves, or if r3 is not 0 as upper ones.
    .section .text.embernet_thumb1_place, "ax", %progbits
    .global embernet_thumb1_place
    .type embernet_thumb1_place, %function
    .thumb_func

    .macro embernet_thumb1_lower at
    ldrb r3, [r0, #\at]
    sxtb r3, r3
    str r3, [r2, #8 * \at]
    .endm

    .macro embernet_thumb1_upper at
    ldrb r3, [r0, #\at]
    ldrh r4, [r2, #8 * \at]
    lsls r3, r3, #24
    asrs r3, r3, #8
    sxth r4, r4
    adds r3, r3, r4
    str r3, [r2, #8 * \at]
    .endm

embernet_thumb1_place:
    push {r4, lr}
    subs r1, r1, r0
    cmp r3, #0
    beq 4f
1:  subs r1, r1, #4
    blo 2f
    embernet_thumb1_upper 0
    embernet_thumb1_upper 1
    embernet_thumb1_upper 2
    embernet_thumb1_upper 3
    adds r0, r0, #4
    adds r2, r2, #32
    b 1b
2:  adds r1, r1, #4
3:  subs r1, r1, #1
    blo 7f
    embernet_thumb1_upper 0
    adds r0, r0, #1
    adds r2, r2, #8
    b 3b
4:  subs r1, r1, #4
    blo 5f
    embernet_thumb1_lower 0
    embernet_thumb1_lower 1
    embernet_thumb1_lower 2
    embernet_thumb1_lower 3
    adds r0, r0, #4
    adds r2, r2, #32
    b 4b
5:  adds r1, r1, #4
6:  subs r1, r1, #1
    blo 7f
    embernet_thumb1_lower 0
    adds r0, r0, #1
    adds r2, r2, #8
    b 6b
7:  pop {r4, pc}
    .size embernet_thumb1_place, . - embernet_thumb1_place

@ r1 words, r3 bytes apart from r0 on, into every third word from r2 on; 128 is added to each byte.
    .section .text.embernet_thumb1_band, "ax", %progbits
    .global embernet_thumb1_band
    .type embernet_thumb1_band, %function
    .thumb_func
embernet_thumb1_band:
    push {r4, r5}
    ldr r4, =0x80808080
1:  ldr r5, [r0]
    adds r0, r0, r3
    eors r5, r5, r4
    str r5, [r2]
    adds r2, r2, #12
    subs r1, r1, #1
    bne 1b
    pop {r4, r5}
    bx lr
    .ltorg
    .size embernet_thumb1_band, . - embernet_thumb1_band
