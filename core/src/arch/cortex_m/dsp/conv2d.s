@ Convolutions: three pixels by two filters.

    .section .text.embernet_dsp_filters, "ax", %progbits
    .global embernet_dsp_filters
    .type embernet_dsp_filters, %function
    .thumb_func
    .p2align 2
@ r0: sums of filter 0 in r4-r6, of filter 1 in r7-r9; r10, r11 their weights; r1-r3 the pixels;
@ r0 walks along the tile up to lr, r12 along the stream.
embernet_dsp_filters:
    push    {r4-r11, lr}
    sub     sp, sp, #24
    ldmia   r0, {r1-r8}
    mov     r12, r1
    mov     lr, r2
    adr     r9, 2f
    movs    r10, #96            @ bytes of a four
    mla     r9, r8, r10, r9
    orr     r9, r9, #1
    @ zero point, y, distance of pixels, end of y, tile, where the first round begins
    stmia   sp, {r3-r7, r9}
1:  ldr     r0, [sp, #16]
    ldr     r1, [sp, #20]
    ldr     r4, [r12], #4
    ldr     r7, [r12], #4
    mov     r5, r4
    mov     r6, r4
    mov     r8, r7
    mov     r9, r7
    bx      r1
    .p2align 2
2:
    .rept   8
    ldr     r10, [r12], #4
    ldr     r1, [r0], #4
    ldr     r2, [r0], #4
    ldr     r3, [r0], #4
    sxtb16  r11, r10, ror #8
    sxtb16  r10, r10
    smlad   r4, r1, r10, r4
    smlad   r5, r2, r10, r5
    smlad   r6, r3, r10, r6
    smlad   r7, r1, r11, r7
    smlad   r8, r2, r11, r8
    smlad   r9, r3, r11, r9
    .endr
    cmp     r0, lr
    bne     2b
    ldmia   r12!, {r1-r3, r10}
    ldrd    r11, r0, [sp]
    .irp    sum, r4, r5, r6
    embernet_dsp_requantize \sum, r1, r2, r11
    .endr
    .irp    sum, r7, r8, r9
    embernet_dsp_requantize \sum, r3, r10, r11
    .endr
    ldr     r1, [sp, #8]
    ldr     r2, [sp, #12]
    strb    r4, [r0]
    strb    r5, [r0, r1]
    strb    r6, [r0, r1, lsl #1]
    adds    r0, #1
    strb    r7, [r0]
    strb    r8, [r0, r1]
    strb    r9, [r0, r1, lsl #1]
    adds    r0, #1
    str     r0, [sp, #4]
    cmp     r0, r2
    bne     1b
    add     sp, sp, #24
    pop     {r4-r11, pc}
    .size embernet_dsp_filters, . - embernet_dsp_filters

    .section .text.embernet_dsp_place, "ax", %progbits
    .global embernet_dsp_place
    .type embernet_dsp_place, %function
    .thumb_func
    .p2align 2
@ r0: first row; r1: to; r2: fours in a row; r3: from the end of a row to the next; on the stack: rows.
embernet_dsp_place:
    push    {r4-r10, lr}
    ldr     r4, [sp, #32]
1:  subs    r5, r2, #4
    blo     3f
2:  ldr     r6, [r0], #4
    ldr     r7, [r0], #4
    ldr     r8, [r0], #4
    ldr     r9, [r0], #4
    .irp    four, r6, r7, r8, r9
    sxtb16  r10, \four
    sxtb16  \four, \four, ror #8
    str     r10, [r1], #12
    str     \four, [r1], #12
    .endr
    subs    r5, r5, #4
    bhs     2b
3:  adds    r5, r5, #4
    beq     5f
4:  ldr     r6, [r0], #4
    sxtb16  r10, r6
    sxtb16  r6, r6, ror #8
    str     r10, [r1], #12
    str     r6, [r1], #12
    subs    r5, r5, #1
    bne     4b
5:  add     r0, r0, r3
    subs    r4, r4, #1
    bne     1b
    pop     {r4-r10, pc}
    .size embernet_dsp_place, . - embernet_dsp_place

    .section .text.embernet_dsp_gather, "ax", %progbits
    .global embernet_dsp_gather
    .type embernet_dsp_gather, %function
    .thumb_func
    .p2align 2
@ r0: first row; r1: to; r2: bytes of a row, whole words are copied; r3: distance of rows; on the stack: rows.
embernet_dsp_gather:
    push    {r4-r8, lr}
    ldr     r4, [sp, #24]
1:  movs    r5, #0
2:  ldr     r6, [r0, r5]
    str     r6, [r1, r5]
    adds    r5, #4
    cmp     r5, r2
    blo     2b
    add     r0, r0, r3
    add     r1, r1, r2
    subs    r4, r4, #1
    bne     1b
    pop     {r4-r8, pc}
    .size embernet_dsp_gather, . - embernet_dsp_gather
