@ Convolutions: three pixels by two filters.

@ Two inputs of each pixel by two filters, added to r4-r9, or to others instead of some of them.
    .macro embernet_dsp_filters_two sum1, sum2, sum4, sum5
    ldr     r10, [r12], #4
    ldr     r1, [r0], #4
    ldr     r2, [r0], #4
    ldr     r3, [r0], #4
    sxtb16  r11, r10, ror #8
    sxtb16  r10, r10
    smlad   r5, r2, r10, \sum1
    smlad   r6, r3, r10, \sum2
    smlad   r4, r1, r10, r4
    smlad   r8, r2, r11, \sum4
    smlad   r9, r3, r11, \sum5
    smlad   r7, r1, r11, r7
    .endm

    .section .text.embernet_dsp_filters, "ax", %progbits
    .global embernet_dsp_filters
    .type embernet_dsp_filters, %function
    .thumb_func
    .p2align 2
@ r0: arguments. Sums of filter 0 in r4-r6, of filter 1 in r7-r9; r10, r11 their weights; r1-r3 the pixels;
@ r0 walks along the tile up to lr, r12 along the stream.
embernet_dsp_filters:
    push    {r4-r11, lr}
    sub     sp, sp, #28
    ldmia   r0, {r1-r9}
    mov     r12, r1
    mov     lr, r2
    adr     r10, 3f
    movs    r11, #48            @ bytes of two inputs
    mla     r9, r9, r11, r10
    orr     r9, r9, #1
    @ y, distance of pixels, end of y, zero point, whether factors are general, tile, where the first round begins
    stmia   sp, {r3-r9}
1:  ldr     r0, [sp, #20]
    ldmia   r12!, {r4, r7}
    embernet_dsp_filters_two r4, r4, r7, r7
    ldr     pc, [sp, #24]
    .p2align 2
3:
    .rept   12
    embernet_dsp_filters_two r5, r6, r8, r9
    .endr
    cmp     r0, lr
    bne     3b
    ldmia   r12!, {r1-r3, r10}
    ldrd    r11, r0, [sp, #12]
    .irp    sum, r4, r5, r6
    embernet_dsp_scale \sum, r1
    .endr
    .irp    sum, r7, r8, r9
    embernet_dsp_scale \sum, r3
    .endr
    cbnz    r0, 6f
5:  .irp    sum, r4, r5, r6
    embernet_dsp_divide \sum, r2, r11
    .endr
    .irp    sum, r7, r8, r9
    embernet_dsp_divide \sum, r10, r11
    .endr
    ldmia   sp, {r0-r2}
    strb    r5, [r0, r1]
    strb    r6, [r0, r1, lsl #1]
    strb    r4, [r0], #1
    strb    r8, [r0, r1]
    strb    r9, [r0, r1, lsl #1]
    strb    r7, [r0], #1
    str     r0, [sp]
    cmp     r0, r2
    bne     1b
    add     sp, sp, #28
    pop     {r4-r11, pc}
6:  .irp    sum, r4, r5, r6, r7, r8, r9
    embernet_dsp_away \sum
    .endr
    b       5b
    .size embernet_dsp_filters, . - embernet_dsp_filters

@ As many bytes of padding from r1 on; writes up to four more.
    .macro embernet_dsp_pad_bytes bytes
    add     r2, r1, \bytes
90: str     r3, [r1], #4
    cmp     r1, r2
    blo     90b
    mov     r1, r2
    .endm

@ As many fours of padding into a tile.
    .macro embernet_dsp_pad_fours fours
    mov     r2, \fours
90: str     r3, [r1], #12
    str     r3, [r1], #12
    subs    r2, r2, #1
    bne     90b
    .endm

    .section .text.embernet_dsp_place, "ax", %progbits
    .global embernet_dsp_place
    .type embernet_dsp_place, %function
    .thumb_func
    .p2align 2
@ One patch. r0: arguments. r0 walks along the input, r1 along the patch; r3: padding, r4: rows, r6: padding before each, r7: behind it, r8: what is inside, r9: from there to the next row.
embernet_dsp_place:
    push    {r0, r4-r11, lr}
    mov     r12, r0
    ldm     r12!, {r0, r1, r3-r11}
    cmp     r1, #0
    beq     12f
    @ A patch of bytes is put together first.
    cbz     r5, 3f
    embernet_dsp_pad_bytes r5
3:  cbz     r4, 10f
4:  cbz     r6, 5f
    embernet_dsp_pad_bytes r6
5:  subs    r5, r8, #4
    blo     7f
6:  ldr     r2, [r0], #4
    str     r2, [r1], #4
    subs    r5, r5, #4
    bhs     6b
    @ The last four, of which some have been copied.
    add     r0, r0, r5
    add     r1, r1, r5
    ldr     r2, [r0], #4
    str     r2, [r1], #4
    b       8f
7:  lsls    r2, r5, #31
    itt     cs
    ldrhcs  r2, [r0], #2
    strhcs  r2, [r1], #2
    itt     mi
    ldrbmi  r2, [r0], #1
    strbmi  r2, [r1], #1
8:  add     r0, r0, r9
    cbz     r7, 9f
    embernet_dsp_pad_bytes r7
9:  subs    r4, r4, #1
    bne     4b
10: cmp     r10, #0
    beq     11f
    embernet_dsp_pad_bytes r10
11: ldr     r0, [r12, #4]
    ldr     r1, [r12]
    movs    r4, #1
    mov     r7, #0
    mov     r8, r11
    mov     r9, r7
    b       15f
12: ldr     r1, [r12]
    cbz     r5, 13f
    embernet_dsp_pad_fours r5
13: cmp     r4, #0
    beq     20f
14: cbz     r6, 15f
    embernet_dsp_pad_fours r6
15: subs    r5, r8, #4
    blo     17f
16: ldr     r10, [r0], #4
    ldr     r11, [r0], #4
    ldr     r12, [r0], #4
    ldr     lr, [r0], #4
    .irp four, r10, r11, r12, lr
    sxtb16  r2, \four
    sxtb16  \four, \four, ror #8
    str     r2, [r1], #12
    str     \four, [r1], #12
    .endr
    subs    r5, r5, #4
    bhs     16b
17: adds    r5, r5, #4
    beq     19f
18: ldr     r10, [r0], #4
    sxtb16  r2, r10
    sxtb16  r10, r10, ror #8
    str     r2, [r1], #12
    str     r10, [r1], #12
    subs    r5, r5, #1
    bne     18b
19: add     r0, r0, r9
    cbz     r7, 21f
    embernet_dsp_pad_fours r7
21: subs    r4, r4, #1
    bne     14b
20: ldr     r12, [sp]
    ldr     r2, [r12, #4]
    cbnz    r2, 22f
    ldr     r5, [r12, #36]
    cbz     r5, 22f
    embernet_dsp_pad_fours r5
22: pop     {r0, r4-r11, pc}
    .size embernet_dsp_place, . - embernet_dsp_place

    .section .text.embernet_dsp_place_tile, "ax", %progbits
    .global embernet_dsp_place_tile
    .type embernet_dsp_place_tile, %function
    .thumb_func
    .p2align 2
@ Three patches side by side, without padding. r0: first row; r1: to; r2: fours in a row; r3: from the end of a row to the
@ next; on the stack: rows; distance of the patches in the input.
embernet_dsp_place_tile:
    push    {r4-r11, lr}
    ldrd    r11, r12, [sp, #36]
    lsl     lr, r12, #1
1:  mov     r10, r2
2:  ldr     r8, [r0, r12]
    ldr     r9, [r0, lr]
    ldr     r7, [r0], #4
    sxtb16  r4, r7
    sxtb16  r5, r8
    sxtb16  r6, r9
    sxtb16  r7, r7, ror #8
    sxtb16  r8, r8, ror #8
    sxtb16  r9, r9, ror #8
    stmia   r1!, {r4-r9}
    subs    r10, r10, #1
    bne     2b
    add     r0, r0, r3
    subs    r11, r11, #1
    bne     1b
    pop     {r4-r11, pc}
    .size embernet_dsp_place_tile, . - embernet_dsp_place_tile
