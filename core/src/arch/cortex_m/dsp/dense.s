@ Dense layers: four outputs at a time.

    .section .text.embernet_dsp_dense, "ax", %progbits
    .global embernet_dsp_dense
    .type embernet_dsp_dense, %function
    .thumb_func
    .p2align 2
@ Sums in r4-r7, weights in r8-r11, inputs in r2 and r3; r0 walks along the inputs up to r1, r12 along the stream.
embernet_dsp_dense:
    push    {r4-r11, lr}
    sub     sp, sp, #32
    ldmia   r0, {r1-r8}
    mov     r12, r1
    adr     r9, 2f
    movs    r10, #92            @ bytes of a four
    mla     r9, r8, r10, r9
    orr     r9, r9, #1
    @ inputs, their end, where the first round begins, zero point, y, its end, end of the last inputs
    mov     r8, r9
    mov     r9, r4
    mov     r10, r5
    mov     r11, r6
    stmia   sp, {r2, r3, r8-r11}
    str     r7, [sp, #24]
1:  ldr     r0, [sp]
    ldr     r1, [sp, #4]
    ldr     r2, [sp, #8]
    ldmia   r12!, {r4-r7}
    bx      r2
    .p2align 2
2:
    .rept   3
    embernet_dsp_dense_four
    .endr
3:  embernet_dsp_dense_four
    cmp     r0, r1
    bne     2b
    ldr     r2, [sp, #24]
    cmp     r1, r2
    beq     4f
    @ One to three inputs are left; they stand in a word by themselves.
    mov     r1, r2
    sub     r0, r2, #4
    b       3b
4:  ldrd    r2, r0, [sp, #12]
    ldmia   r12!, {r8-r11}
    embernet_dsp_scale r4, r8
    embernet_dsp_away r4
    embernet_dsp_divide r4, r9, r2
    embernet_dsp_scale r5, r10
    embernet_dsp_away r5
    embernet_dsp_divide r5, r11, r2
    ldmia   r12!, {r8-r11}
    embernet_dsp_scale r6, r8
    embernet_dsp_away r6
    embernet_dsp_divide r6, r9, r2
    embernet_dsp_scale r7, r10
    embernet_dsp_away r7
    embernet_dsp_divide r7, r11, r2
    strb    r4, [r0], #1
    strb    r5, [r0], #1
    strb    r6, [r0], #1
    strb    r7, [r0], #1
    ldr     r2, [sp, #20]
    str     r0, [sp, #16]
    cmp     r0, r2
    bne     1b
    add     sp, sp, #32
    pop     {r4-r11, pc}
    .size embernet_dsp_dense, . - embernet_dsp_dense
