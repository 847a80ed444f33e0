@ Depthwise convolutions, int8: a run of pixels of one row. The order of the stream is in layout/mve.rs.
@
@ Lanes are channels, 16 at a time. A product of bytes has 16 bits, and so has a sum of two of them; then it is widened.
@ Widening takes lanes apart: the four vectors of sums hold channels 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15. Narrowing
@ brings them together again.
@
@ A table holds the address of each tap of the first pixel, then, from a whole vector on, by how much each moves for the
@ next one: not at all where it is a pixel of padding.

@ fn(table, padding, vectors, numbers): makes such a table, of twice `vectors` vectors. Numbers: bytes before the first tap
@ inside the input, rows and columns of such taps, address of the first, distance between rows, between columns, between
@ pixels, bytes of a row of taps.
    .section .text.embernet_mve_taps, "ax", %progbits
    .global embernet_mve_taps
    .type embernet_mve_taps, %function
    .p2align 2
embernet_mve_taps:
    push {r4-r11, lr}
    vdup.32 q0, r1
    vmov.i32 q1, #0
    add r12, r0, r2, lsl #4
    mov r4, r0
    mov r5, r12
    dls lr, r2
1:  vstrw.32 q0, [r4], #16
    vstrw.32 q1, [r5], #16
    le lr, 1b
    ldm r3, {r4-r11}
    add r0, r0, r4
    add r12, r12, r4
    cbz r5, 5f
2:  mov r1, r7
    mov r2, r0
    mov r3, r12
    wls lr, r6, 4f
3:  str r1, [r2], #4
    str r10, [r3], #4
    add r1, r1, r9
    le lr, 3b
4:  add r7, r7, r8
    add r0, r0, r11
    add r12, r12, r11
    subs r5, #1
    bgt 2b
5:  pop {r4-r11, pc}
    .size embernet_mve_taps, . - embernet_mve_taps

.macro embernet_mve_widen
    vmovlb.s16 q1, q2
    vadd.i32 q4, q4, q1
    vmovlt.s16 q2, q2
    vadd.i32 q5, q5, q2
    vmovlb.s16 q1, q0
    vadd.i32 q6, q6, q1
    vmovlt.s16 q0, q0
    vadd.i32 q7, q7, q0
.endm

@ fn(stream, taps, y, channels, pixels, pairs, odd, vectors, zero_point, lo, hi, exact): `pairs` of taps and maybe an
@ `odd` one, in tables of `vectors` vectors. Where `exact` is 0, the least output is at or above the zero point.
    .section .text.embernet_mve_depthwise, "ax", %progbits
    .global embernet_mve_depthwise
    .type embernet_mve_depthwise, %function
    .p2align 2
embernet_mve_depthwise:
    push {r0, r1, r3-r11, lr}         @ stream, table and channels: sp + 64, 68, 72
    vpush {d8-d15}                    @ what follows lies from sp + 112 on
    ldrd r8, r9, [sp, #116]             @ pairs, odd
    ldrd r10, r11, [sp, #128]           @ zero point, least output
    ldr r12, [sp, #136]                 @ greatest output
1:  ldr r0, [sp, #64]
    ldr r6, [sp, #72]
    movs r5, #0
2:  ldr r1, [sp, #68]
    vctp.8 r6
    vldrw.u32 q4, [r0], #16             @ biases
    vldrw.u32 q5, [r0], #16
    vldrw.u32 q6, [r0], #16
    vldrw.u32 q7, [r0], #16
    wls lr, r8, 4f
3:  ldrd r3, r4, [r1], #8
    add r3, r5
    add r4, r5
    vpstt
    vldrbt.u8 q0, [r3]
    vldrbt.u8 q3, [r4]
    vldrw.u32 q1, [r0], #32
    vmullb.s8 q2, q0, q1
    vmullt.s8 q0, q0, q1
    vldrw.u32 q1, [r0, #-16]
    vmullb.s8 q1, q3, q1                @ no register is left for the product: the weights go, and come back
    vadd.i16 q2, q2, q1
    vldrw.u32 q1, [r0, #-16]
    vmullt.s8 q1, q3, q1
    vadd.i16 q0, q0, q1
    embernet_mve_widen
    le lr, 3b
4:  cmp r9, #0
    beq 5f
    ldr r3, [r1]
    add r3, r5
    vpst
    vldrbt.u8 q0, [r3]
    vldrw.u32 q1, [r0], #16
    vmullb.s8 q2, q0, q1
    vmullt.s8 q0, q0, q1
    embernet_mve_widen
5:  vldrw.u32 q0, [r0], #16             @ multipliers
    vqrdmulh.s32 q4, q4, q0
    vldrw.u32 q1, [r0], #16
    vqrdmulh.s32 q5, q5, q1
    vldrw.u32 q2, [r0], #16
    vqrdmulh.s32 q6, q6, q2
    vldrw.u32 q3, [r0], #16
    vqrdmulh.s32 q7, q7, q3
    vldrw.u32 q0, [r0], #16             @ shifts, to the right only
    vldrw.u32 q1, [r0], #16
    vldrw.u32 q2, [r0], #16
    vldrw.u32 q3, [r0], #16
    ldr r7, [sp, #140]
    cbz r7, 6f
    sub sp, #16                         @ a negative number that is shifted: -1
    vstrw.32 q3, [sp]
    vand q3, q4, q0
    vshr.s32 q3, q3, #31
    vqadd.s32 q4, q4, q3
    vand q3, q5, q1
    vshr.s32 q3, q3, #31
    vqadd.s32 q5, q5, q3
    vand q3, q6, q2
    vshr.s32 q3, q3, #31
    vqadd.s32 q6, q6, q3
    vldrw.u32 q3, [sp]
    vrshl.s32 q4, q4, q0
    vand q0, q7, q3
    vshr.s32 q0, q0, #31
    vqadd.s32 q7, q7, q0
    add sp, #16
    b 7f
6:  vrshl.s32 q4, q4, q0
7:  vrshl.s32 q5, q5, q1
    vrshl.s32 q6, q6, q2
    vrshl.s32 q7, q7, q3
    vqmovnb.s32 q4, q4
    vqmovnt.s32 q4, q5
    vqmovnb.s32 q6, q6
    vqmovnt.s32 q6, q7
    vqadd.s16 q4, q4, r10
    vqadd.s16 q6, q6, r10
    vqmovnb.s16 q4, q4
    vqmovnt.s16 q4, q6
    vdup.8 q0, r11
    vdup.8 q1, r12
    vmax.s8 q4, q4, q0
    vmin.s8 q4, q4, q1
    add r3, r2, r5
    vpst
    vstrbt.8 q4, [r3]
    add r5, #16
    subs r6, #16
    bgt 2b
    ldr r3, [sp, #72]
    add r2, r3                          @ the next pixel
    ldr r7, [sp, #112]
    subs r7, #1
    beq 9f
    str r7, [sp, #112]
    ldr r1, [sp, #68]
    ldr lr, [sp, #124]
    add r3, r1, lr, lsl #4
8:  vldrw.u32 q0, [r1]
    vldrw.u32 q1, [r3], #16
    vadd.i32 q0, q0, q1
    vstrw.32 q0, [r1], #16
    le lr, 8b
    b 1b
9:  vpop {d8-d15}
    add sp, #12
    pop {r4-r11, pc}
    .size embernet_mve_depthwise, . - embernet_mve_depthwise
.purgem embernet_mve_widen
