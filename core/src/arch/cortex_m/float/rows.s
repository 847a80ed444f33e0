@ One row of A times rows of B that are contiguous: C[j] += sum over p of A[p] * B[p][j], in order of p. Four rows of B
@ for each time that C is loaded and stored, then single ones.

.fpu fpv4-sp-d16

@ Four elements of a row, times one of A, added to s4 to s7.
.macro four_of_row from, a
    vldmia \from!, {s8-s11}
    vmul.f32 s8, \a, s8
    vmul.f32 s9, \a, s9
    vmul.f32 s10, \a, s10
    vmul.f32 s11, \a, s11
    vadd.f32 s4, s4, s8
    vadd.f32 s5, s5, s9
    vadd.f32 s6, s6, s10
    vadd.f32 s7, s7, s11
.endm

@ r0: a, b, c, bytes between elements of A, rows of B, n, k.
.section .text.embernet_f32_rows, "ax", %progbits
.global embernet_f32_rows
.type embernet_f32_rows, %function
.thumb_func
embernet_f32_rows:
    push {r4-r11, lr}
    ldrd r8, r9, [r0]
    ldrd r10, r11, [r0, #12]
    ldrd r12, lr, [r0, #20]
    b 5f

@ Four rows of B. r8: a, r9: b, lr: rows left.
1:  vldr s0, [r8]
    add r8, r10
    vldr s1, [r8]
    add r8, r10
    vldr s2, [r8]
    add r8, r10
    vldr s3, [r8]
    add r8, r10
    mov r2, r9
    add r3, r2, r11
    add r4, r3, r11
    add r5, r4, r11
    add r9, r5, r11
    ldr r1, [r0, #8]
    lsrs r7, r12, #2
    beq 3f
2:  vldmia r1, {s4-s7}
    four_of_row r2, s0
    four_of_row r3, s1
    four_of_row r4, s2
    four_of_row r5, s3
    vstmia r1!, {s4-s7}
    subs r7, #1
    bne 2b
3:  ands r7, r12, #3
    beq 5f
4:  vldr s4, [r1]
    vldmia r2!, {s8}
    vldmia r3!, {s9}
    vldmia r4!, {s10}
    vldmia r5!, {s11}
    vmul.f32 s8, s0, s8
    vmul.f32 s9, s1, s9
    vmul.f32 s10, s2, s10
    vmul.f32 s11, s3, s11
    vadd.f32 s4, s4, s8
    vadd.f32 s4, s4, s9
    vadd.f32 s4, s4, s10
    vadd.f32 s4, s4, s11
    vstmia r1!, {s4}
    subs r7, #1
    bne 4b
5:  subs lr, #4
    bpl 1b
    adds lr, #4
    beq 11f

@ One row of B.
6:  vldr s0, [r8]
    add r8, r10
    mov r2, r9
    add r9, r11
    ldr r1, [r0, #8]
    lsrs r7, r12, #2
    beq 8f
7:  vldmia r1, {s4-s7}
    four_of_row r2, s0
    vstmia r1!, {s4-s7}
    subs r7, #1
    bne 7b
8:  ands r7, r12, #3
    beq 10f
9:  vldr s4, [r1]
    vldmia r2!, {s8}
    vmul.f32 s8, s0, s8
    vadd.f32 s4, s4, s8
    vstmia r1!, {s4}
    subs r7, #1
    bne 9b
10: subs lr, #1
    bne 6b
11: pop {r4-r11, pc}
