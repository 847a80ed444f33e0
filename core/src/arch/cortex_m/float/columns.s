@ Rows of A times columns of B, both contiguous: sums of products in index order, multiply then add. A column's
@ products come before its additions, and additions to the same sum never stand side by side: the core waits where one
@ instruction needs the float of the one before.

.fpu fpv4-sp-d16

@ Four products of two rows with one column, added to a sum of each row.
.macro column_of_two from, first, second
    vldmia \from!, {s16-s19}
    vmul.f32 s20, s8, s16
    vmul.f32 s21, s9, s17
    vmul.f32 s22, s10, s18
    vmul.f32 s23, s11, s19
    vmul.f32 s16, s12, s16
    vmul.f32 s17, s13, s17
    vmul.f32 s18, s14, s18
    vmul.f32 s19, s15, s19
    vadd.f32 \first, \first, s20
    vadd.f32 \second, \second, s16
    vadd.f32 \first, \first, s21
    vadd.f32 \second, \second, s17
    vadd.f32 \first, \first, s22
    vadd.f32 \second, \second, s18
    vadd.f32 \first, \first, s23
    vadd.f32 \second, \second, s19
.endm

@ One product of each of two rows.
.macro element_of_two from, first, second
    vldmia \from!, {s16}
    vmul.f32 s20, s8, s16
    vmul.f32 s16, s12, s16
    vadd.f32 \first, \first, s20
    vadd.f32 \second, \second, s16
.endm

@ Four products of one row with each of two columns.
.macro columns_of_one from, to, first, second
    vldmia \from!, {s16-s19}
    vldmia \to!, {s20-s23}
    vmul.f32 s16, s8, s16
    vmul.f32 s17, s9, s17
    vmul.f32 s18, s10, s18
    vmul.f32 s19, s11, s19
    vmul.f32 s20, s8, s20
    vmul.f32 s21, s9, s21
    vmul.f32 s22, s10, s22
    vmul.f32 s23, s11, s23
    vadd.f32 \first, \first, s16
    vadd.f32 \second, \second, s20
    vadd.f32 \first, \first, s17
    vadd.f32 \second, \second, s21
    vadd.f32 \first, \first, s18
    vadd.f32 \second, \second, s22
    vadd.f32 \first, \first, s19
    vadd.f32 \second, \second, s23
.endm

@ r3 to r6 at four columns; r12 at the next ones.
.macro next_columns
    mov r3, r12
    add r4, r3, r11
    add r5, r4, r11
    add r6, r5, r11
    add r12, r6, r11
.endm

@ On from some rows of A and C, counted as a power of two: equal behind the last ones.
.macro next_rows power
    ldrd r1, r2, [r0, #8]
    ldr r3, [r0]
    ldr r4, [r0, #20]
    add r1, r1, r4, lsl #\power
    add r3, r3, r2, lsl #\power
    ldr r2, [r0, #32]
    str r1, [r0, #8]
    str r3, [r0]
    subs r2, #1
    str r2, [r0, #32]
.endm

@ Pairs of rows, quads of columns. r0: a, b, c, bytes between rows of A, columns of B, rows of C, k, quads, pairs.
.section .text.embernet_f32_two_rows, "ax", %progbits
.global embernet_f32_two_rows
.type embernet_f32_two_rows, %function
.thumb_func
embernet_f32_two_rows:
    push {r4-r11, lr}
    vpush {s16-s23}
6:  ldrd r12, r8, [r0, #4]
    ldrd r11, r9, [r0, #16]
    ldrd lr, r10, [r0, #24]
    add r9, r8
1:  ldr r1, [r0]
    ldr r2, [r0, #12]
    add r2, r1
    next_columns
    vldmia r8, {s0-s3}
    vldmia r9, {s4-s7}
    lsrs r7, lr, #2
    beq 3f
2:  vldmia r1!, {s8-s11}
    vldmia r2!, {s12-s15}
    column_of_two r3, s0, s4
    column_of_two r4, s1, s5
    column_of_two r5, s2, s6
    column_of_two r6, s3, s7
    subs r7, #1
    bne 2b
3:  ands r7, lr, #3
    beq 5f
4:  vldmia r1!, {s8}
    vldmia r2!, {s12}
    element_of_two r3, s0, s4
    element_of_two r4, s1, s5
    element_of_two r5, s2, s6
    element_of_two r6, s3, s7
    subs r7, #1
    bne 4b
5:  vstmia r8!, {s0-s3}
    vstmia r9!, {s4-s7}
    subs r10, #1
    bne.w 1b
    next_rows 1
    bne.w 6b
    vpop {s16-s23}
    pop {r4-r11, pc}

@ One row, quads of columns; the same arguments, then where sums start from (C if that is 0), and by how many columns
@ the last quad lies back over the one before.
.section .text.embernet_f32_one_row, "ax", %progbits
.global embernet_f32_one_row
.type embernet_f32_one_row, %function
.thumb_func
embernet_f32_one_row:
    push {r4-r11, lr}
    vpush {s16-s23}
    ldrd r12, r8, [r0, #4]
    ldr r11, [r0, #16]
    ldrd lr, r10, [r0, #24]
    ldr r9, [r0, #36]
    cmp r9, #0
    it eq
    moveq r9, r8
1:  ldr r1, [r0]
    next_columns
    vldmia r9!, {s0-s3}
    lsrs r7, lr, #2
    beq 3f
    adds r7, #1
    lsrs r7, r7, #1
    tst lr, #4
    bne 6f @ an odd number of fours begins in the middle
2:  vldmia r1!, {s8-s11}
    columns_of_one r3, r4, s0, s1
    columns_of_one r5, r6, s2, s3
6:  vldmia r1!, {s8-s11}
    columns_of_one r3, r4, s0, s1
    columns_of_one r5, r6, s2, s3
    subs r7, #1
    bne 2b
3:  ands r7, lr, #3
    beq 5f
4:  vldmia r1!, {s8}
    vldmia r3!, {s16}
    vldmia r4!, {s17}
    vldmia r5!, {s18}
    vldmia r6!, {s19}
    vmul.f32 s16, s8, s16
    vmul.f32 s17, s8, s17
    vmul.f32 s18, s8, s18
    vmul.f32 s19, s8, s19
    vadd.f32 s0, s0, s16
    vadd.f32 s1, s1, s17
    vadd.f32 s2, s2, s18
    vadd.f32 s3, s3, s19
    subs r7, #1
    bne 4b
5:  vstmia r8!, {s0-s3}
    subs r10, #1
    beq 7f
    cmp r10, #1
    bne 1b
    ldr r7, [r0, #40]
    sub r8, r8, r7, lsl #2
    sub r9, r9, r7, lsl #2
    mls r12, r7, r11, r12
    b 1b
7:  vpop {s16-s23}
    pop {r4-r11, pc}

@ Rows, single columns; the same arguments, with columns in place of quads, and rows in place of pairs. Only one row may
@ start from elsewhere.
.section .text.embernet_f32_one_column, "ax", %progbits
.global embernet_f32_one_column
.type embernet_f32_one_column, %function
.thumb_func
embernet_f32_one_column:
    push {r4-r7, lr}
6:  ldrd r2, r4, [r0, #4]
    ldr r5, [r0, #16]
    ldrd r6, r7, [r0, #24]
    ldr lr, [r0, #36]
    cmp lr, #0
    it eq
    moveq lr, r4
1:  ldr r1, [r0]
    mov r3, r2
    vldmia lr!, {s0}
    lsrs r12, r6, #2
    beq 3f
2:  vldmia r1!, {s4-s7}
    vldmia r3!, {s8-s11}
    vmul.f32 s8, s4, s8
    vmul.f32 s9, s5, s9
    vmul.f32 s10, s6, s10
    vmul.f32 s11, s7, s11
    vadd.f32 s0, s0, s8
    vadd.f32 s0, s0, s9
    vadd.f32 s0, s0, s10
    vadd.f32 s0, s0, s11
    subs r12, #1
    bne 2b
3:  ands r12, r6, #3
    beq 5f
4:  vldmia r1!, {s4}
    vldmia r3!, {s8}
    vmul.f32 s8, s4, s8
    vadd.f32 s0, s0, s8
    subs r12, #1
    bne 4b
5:  vstmia r4!, {s0}
    add r2, r5
    subs r7, #1
    bne 1b
    next_rows 0
    bne 6b
    pop {r4-r7, pc}
