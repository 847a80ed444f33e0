@ Sums of int8 whose inputs have different scales. The input with the greater scale is shifted alone.
    .cpu cortex-m33

@ One element. r4: -zero << 19 of a; of b r5: -zero << 21, r6: multiplier, r7: half, r8: exponent; r9, r10: factors of the
@ sum, r11: the output's zero point.
    .macro embernet_dsp_add_one
    ldrsb   r12, [r0], #1
    ldrsb   lr, [r1], #1
    add     lr, r5, lr, lsl #21
    smmulr  lr, lr, r6
    add     lr, lr, lr, asr #31
    add     lr, r7
    asr     lr, r8
    add     r12, r4, r12, lsl #19
    add     lr, r12
    smmlar  lr, lr, r9, lr
    add     lr, lr, lr, asr #31
    smmlar  lr, lr, r10, r11
    ssat    lr, #8, lr
    strb    lr, [r2], #1
    .endm

@ r0: a, r1: b, r2: y, r3: how many, at least one; on the stack the eight words of r4 to r11.
    .section .text.embernet_dsp_add, "ax", %progbits
    .global embernet_dsp_add
    .type embernet_dsp_add, %function
    .thumb_func
embernet_dsp_add:
    push    {r4-r11, lr}
    ldr     r12, [sp, #36]
    ldm     r12, {r4-r11}
    lsrs    r3, #1
    bcc     1f
    embernet_dsp_add_one
    cbz     r3, 2f
1:  embernet_dsp_add_one
    embernet_dsp_add_one
    subs    r3, #1
    bne     1b
2:  pop     {r4-r11, pc}
