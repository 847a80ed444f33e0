@ The tile of a convolution on a core with 32-bit multiply-accumulate and without DSP extension (Cortex-M3): see
@ layout/words/tile.rs for what the numbers mean.
@
@ In: r0 = arguments (its Arguments). Two filters, four pixels at a time: four sums of a block in r5-r8, their
@ running totals in r9-r12, those of the upper halves on the stack.
    .syntax unified
    .thumb
    .section .text.embernet_thumb2_filters, "ax", %progbits
    .global embernet_thumb2_filters
    .type embernet_thumb2_filters, %function
    .thumb_func

    @ Two products of the upper half of `total`, and one of both.
    .macro embernet_thumb2_take sum, total, upper
    add \total, \total, \sum
    asrs \sum, \sum, #16
    adc \upper, \upper, \sum
    .endm

    @ The sums of two pixels, four times, from a total and its upper half.
    .macro embernet_thumb2_sums total, upper
    sub \total, \total, \upper, lsl #16
    add \total, r5, \total, lsl #2
    add \upper, r5, \upper, lsl #2
    .endm


    @ The outputs of a filter, whose four numbers r1 leads to; r5 to the first pixel's.
    .macro embernet_thumb2_outputs total0, upper0, total1, upper1
    ldm r1!, {r5, r6, r7, r8}
    embernet_thumb2_sums \total0, \upper0
    embernet_thumb2_sums \total1, \upper1
    cmp r8, #0
    .irp sum, \total0, \upper0, \total1, \upper1
    smull r5, \sum, \sum, r6
    .endr
    blt 5f
    .irp sum, \total0, \upper0, \total1, \upper1
    adds \sum, \sum, #1
    it mi
    submi \sum, \sum, #2
    .endr
5:
    .irp sum, \total0, \upper0, \total1, \upper1
    add \sum, \sum, r7
    asr \sum, \sum, r8
    ssat \sum, #8, \sum
    .endr
    ldrd r5, r6, [r0, #20]
    strb \total0, [r5]
    strb \upper0, [r5, r6]
    strb \total1, [r5, r6, lsl #1]
    add r6, r6, r6, lsl #1
    strb \upper1, [r5, r6]
    .endm

embernet_thumb2_filters:
    push {r4-r11, lr}
    sub sp, sp, #28
    str r0, [sp, #20]
    ldr r1, [r0, #4]
    str r1, [sp, #16]
1:  @ Two filters.
    ldr r1, [r0, #8]
    ldr r0, [r0]
    adds r1, r1, #32
    movs r2, #0
    movs r3, #0
    strd r2, r3, [sp]
    strd r2, r3, [sp, #8]
    mov r9, r2
    mov r10, r2
    mov r11, r2
    mov r12, r2
2:  @ A block: its first weights, then as many as it has.
    ldrb lr, [r1], #1
    ldrsb r2, [r1], #1
    ldr r3, [r0], #4
    ldr r4, [r0], #4
    and lr, lr, #15
    mul r5, r2, r3
    mul r6, r2, r4
    ldrsb r2, [r1], #1
    mul r7, r2, r3
    mul r8, r2, r4
    tbb [pc, lr]
3:  .byte 8, 24, 40, 56, 72, 88, 104, 120, 136, 152, 168, 184, 200, 216, 232, 248
    .rept 15
    ldrsb r2, [r1], #1
    ldrsb lr, [r1], #1
    ldr r3, [r0], #4
    ldr r4, [r0], #4
    mla r5, r2, r3, r5
    mla r6, r2, r4, r6
    mla r7, lr, r3, r7
    mla r8, lr, r4, r8
    .endr
    ldm sp, {r2, r3, r4, lr}
    embernet_thumb2_take r5, r9, r2
    embernet_thumb2_take r6, r10, r3
    embernet_thumb2_take r7, r11, r4
    embernet_thumb2_take r8, r12, lr
    stm sp, {r2, r3, r4, lr}
    ldr r5, [sp, #16]
    cmp r0, r5
    blo.w 2b
    ldr r0, [sp, #20]
    ldr r1, [r0, #8]
    embernet_thumb2_outputs r9, r2, r10, r3
    ldr r6, [r0, #28]
    add r5, r5, r6
    str r5, [r0, #20]
    embernet_thumb2_outputs r11, r4, r12, lr
    adds r5, r5, #1
    str r5, [r0, #20]
    ldrd r1, r2, [r0, #8]
    ldr r3, [r0, #16]
    add r1, r1, r2
    subs r3, r3, #1
    str r1, [r0, #8]
    str r3, [r0, #16]
    bne.w 1b
    add sp, sp, #28
    pop {r4-r11, pc}
    .size embernet_thumb2_filters, . - embernet_thumb2_filters
