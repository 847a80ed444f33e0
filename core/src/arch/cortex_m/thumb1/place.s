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

@ The patches of a whole tile: see layout/words/tile.rs.
    .section .text.embernet_thumb1_place_tile, "ax", %progbits
    .global embernet_thumb1_place_tile
    .type embernet_thumb1_place_tile, %function
    .thumb_func
embernet_thumb1_place_tile:
    push {r4-r7, lr}
    mov lr, r0
    ldr r4, [r0, #4]
    ldr r5, [r0, #8]
    lsls r6, r5, #1
    adds r7, r5, r6
    ldr r0, [r0]
1:  mov r1, lr
    ldr r2, [r1, #12]
    adds r2, r2, r0
    mov r12, r2
2:  ldrb r1, [r0]
    ldrsb r2, [r0, r5]
    sxtb r1, r1
    lsls r2, r2, #16
    adds r1, r1, r2
    ldrsb r2, [r0, r6]
    ldrsb r3, [r0, r7]
    lsls r3, r3, #16
    adds r2, r2, r3
    stm r4!, {r1, r2}
    adds r0, r0, #1
    cmp r0, r12
    bne 2b
    mov r1, lr
    ldr r2, [r1, #20]
    adds r0, r0, r2
    ldr r2, [r1, #16]
    subs r2, r2, #1
    str r2, [r1, #16]
    bne 1b
    pop {r4-r7, pc}
    .size embernet_thumb1_place_tile, . - embernet_thumb1_place_tile

@ A band of a depthwise convolution: words from r0 on, 128 added to each byte; see layout/words/band.rs.
    .section .text.embernet_thumb1_gather, "ax", %progbits
    .global embernet_thumb1_gather
    .type embernet_thumb1_gather, %function
    .thumb_func
embernet_thumb1_gather:
    push {r4-r7, lr}
    mov r7, r0
    ldr r0, [r7]
    ldr r1, [r7, #4]
    mov r12, r1
    ldr r2, [r7, #8]
    ldr r3, [r7, #12]
    ldr r5, =0x80808080
1:  ldr r1, [r7, #16]
2:  ldr r4, [r0]
    adds r0, r0, r3
    eors r4, r4, r5
    stm r2!, {r4}
    subs r1, r1, #1
    bne 2b
    ldr r1, [r7, #20]
    adds r0, r0, r1
    ldr r1, [r7, #24]
    adds r2, r2, r1
    mov r1, r12
    subs r1, r1, #1
    mov r12, r1
    bne 1b
    pop {r4-r7, pc}
    .ltorg
    .size embernet_thumb1_gather, . - embernet_thumb1_gather
