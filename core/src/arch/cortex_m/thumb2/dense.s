@ A dense layer on a core with 32-bit multiply-accumulate and without DSP extension (Cortex-M3): see layout/words/quad.rs
@ for what the numbers mean.
@
@ In: r0 = arguments (its Arguments). Four filters at a time: two sums of a block in r5 and r6, that of the
@ inputs in r7; totals in r9 and r10, those of the upper halves in r11 and r12.
    .syntax unified
    .thumb
    .section .text.embernet_thumb2_dense, "ax", %progbits
    .global embernet_thumb2_dense
    .type embernet_thumb2_dense, %function
    .thumb_func

    .macro embernet_thumb2_output sum
    ldm r1!, {r2, r3, r4, r5}
    add \sum, r2, \sum, lsl #2
    smull r2, \sum, \sum, r3
    adds \sum, \sum, #1
    it mi
    submi \sum, \sum, #2
    add \sum, \sum, r4
    asr \sum, \sum, r5
    ssat \sum, #8, \sum
    strb \sum, [r6], #1
    .endm

embernet_thumb2_dense:
    push {r4-r11, lr}
    sub sp, sp, #12
    str r0, [sp]
    ldr r1, [r0, #4]
    str r1, [sp, #4]
    mov r8, #0x00ff00ff
1:  @ Four filters.
    ldr r1, [r0, #8]
    ldr r0, [r0]
    adds r1, r1, #64
    mov r9, #0
    mov r10, r9
    mov r11, r9
    mov r12, r9
2:  @ A block, unless it is longer than what is left: its first input, then as many as it has.
    ldr lr, [r1], #4
    ldr r2, [sp, #4]
    and lr, lr, #15
    sub r3, r2, r0
    add r3, r3, lr
    cmp r3, #16
    blo.w 4f
    ldr r2, [r1], #4
    ldrsb r7, [r0], #1
    and r4, r8, r2
    and r2, r8, r2, lsr #8
    mul r5, r7, r4
    mul r6, r7, r2
    tbb [pc, lr]
3:  .byte 8, 21, 34, 47, 60, 73, 86, 99, 112, 125, 138, 151, 164, 177, 190, 203
    .rept 15
    ldr r2, [r1], #4
    ldrsb r3, [r0], #1
    and r4, r8, r2
    and r2, r8, r2, lsr #8
    adds r7, r7, r3
    mla r5, r3, r4, r5
    mla r6, r3, r2, r6
    .endr
    mov r2, #0x00800080
    ldr r3, [sp, #4]
    mul r2, r2, r7
    subs r5, r5, r2
    subs r6, r6, r2
    add r9, r9, r5
    add r10, r10, r6
    asrs r5, r5, #16
    adc r11, r11, r5
    asrs r6, r6, #16
    adc r12, r12, r6
    cmp r0, r3
    blo.w 2b
4:  ldr r0, [sp]
    sub r9, r9, r11, lsl #16
    sub r10, r10, r12, lsl #16
    ldrd r1, r2, [r0, #8]
    ldrd r3, r6, [r0, #16]
    add r2, r2, r1
    subs r3, r3, #1
    str r2, [r0, #8]
    str r3, [r0, #16]
    embernet_thumb2_output r9
    embernet_thumb2_output r10
    embernet_thumb2_output r11
    embernet_thumb2_output r12
    ldr r3, [r0, #16]
    str r6, [r0, #20]
    cmp r3, #0
    bne.w 1b
    add sp, sp, #12
    pop {r4-r11, pc}
    .size embernet_thumb2_dense, . - embernet_thumb2_dense
