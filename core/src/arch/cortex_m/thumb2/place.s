@ Gathering on a core with 32-bit multiply-accumulate and without DSP extension (Cortex-M3).
    .syntax unified
    .thumb

@ Bytes from r0 up to r1 into every second word from r2 on: as lower halves, or if r3 is not 0 as upper ones.
    .section .text.embernet_thumb2_place, "ax", %progbits
    .global embernet_thumb2_place
    .type embernet_thumb2_place, %function
    .thumb_func
embernet_thumb2_place:
    cbz r3, 3f
    push {r4, lr}
    subs r1, r1, #1
1:  cmp r0, r1
    bhs 2f
    ldrsb r3, [r0], #1
    ldrsb r12, [r0], #1
    ldrsh r4, [r2]
    ldrsh lr, [r2, #8]
    add r3, r4, r3, lsl #16
    add r12, lr, r12, lsl #16
    str r3, [r2], #8
    str r12, [r2], #8
    b 1b
2:  it ne
    popne {r4, pc}
    ldrsb r3, [r0]
    ldrsh r4, [r2]
    add r3, r4, r3, lsl #16
    str r3, [r2]
    pop {r4, pc}
3:  subs r1, r1, #1
4:  cmp r0, r1
    bhs 5f
    ldrsb r3, [r0], #1
    ldrsb r12, [r0], #1
    str r3, [r2], #8
    str r12, [r2], #8
    b 4b
5:  it ne
    bxne lr
    ldrsb r3, [r0]
    str r3, [r2]
    bx lr
    .size embernet_thumb2_place, . - embernet_thumb2_place

@ The patches of a whole tile: see layout/words/tile.rs.
    .section .text.embernet_thumb2_place_tile, "ax", %progbits
    .global embernet_thumb2_place_tile
    .type embernet_thumb2_place_tile, %function
    .thumb_func

    @ A byte of each pixel.
    .macro embernet_thumb2_place_four
    ldrsb r10, [r0], #1
    ldrsb r11, [r6], #1
    ldrsb r12, [r7], #1
    ldrsb lr, [r8], #1
    add r10, r10, r11, lsl #16
    add r12, r12, lr, lsl #16
    str r10, [r1], #4
    str r12, [r1], #4
    .endm

embernet_thumb2_place_tile:
    push {r4-r11, lr}
    ldm r0, {r0-r5}
    add r6, r0, r2
    add r7, r6, r2
    add r8, r7, r2
1:  @ A row: one byte if their number is odd, then two by two.
    add r9, r0, r3
    tst r3, #1
    beq 2f
    embernet_thumb2_place_four
    cmp r0, r9
    beq 3f
2:  embernet_thumb2_place_four
    embernet_thumb2_place_four
    cmp r0, r9
    bne 2b
3:  add r0, r0, r5
    add r6, r6, r5
    add r7, r7, r5
    add r8, r8, r5
    subs r4, r4, #1
    bne 1b
    pop {r4-r11, pc}
    .size embernet_thumb2_place_tile, . - embernet_thumb2_place_tile

@ A band of a depthwise convolution: words from r0 on, 128 added to each byte; see layout/words/band.rs.
    .section .text.embernet_thumb2_gather, "ax", %progbits
    .global embernet_thumb2_gather
    .type embernet_thumb2_gather, %function
    .thumb_func
embernet_thumb2_gather:
    push {r4-r7, lr}
    ldm r0, {r0-r6}
1:  mov r7, r4
2:  ldr r12, [r0]
    add r0, r0, r3
    eor r12, r12, #0x80808080
    str r12, [r2], #4
    subs r7, r7, #1
    bne 2b
    add r0, r0, r5
    add r2, r2, r6
    subs r1, r1, #1
    bne 1b
    pop {r4-r7, pc}
    .size embernet_thumb2_gather, . - embernet_thumb2_gather
