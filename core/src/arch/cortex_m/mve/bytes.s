@ Loops over bytes, int8. Tails are predicated: lanes beyond the end are neither loaded nor stored.

.macro embernet_mve_function name
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .p2align 2
\name:
.endm

@ fn(to, from, len, rows, to_step, from_step): copies rows of bytes; there is one at least, of one byte at least.
embernet_mve_function embernet_mve_copy
    push {r4-r6, lr}
    ldrd r4, r5, [sp, #16]
1:  mov r6, r0
    mov r12, r1
    dlstp.8 lr, r2
2:  vldrb.u8 q0, [r12], #16
    vstrb.8 q0, [r6], #16
    letp lr, 2b
    add r0, r0, r4
    add r1, r1, r5
    subs r3, #1
    bgt 1b
    pop {r4-r6, pc}
    .size embernet_mve_copy, . - embernet_mve_copy

@ fn(to, value, len)
embernet_mve_function embernet_mve_fill
    push {r7, lr}
    vdup.8 q0, r1
    wlstp.8 lr, r2, 2f
1:  vstrb.8 q0, [r0], #16
    letp lr, 1b
2:  pop {r7, pc}
    .size embernet_mve_fill, . - embernet_mve_fill

@ fn(init, a, b, len) -> init + sum of a[i] * b[i]
embernet_mve_function embernet_mve_dot
    push {r7, lr}
    wlstp.8 lr, r3, 2f
1:  vldrb.u8 q0, [r1], #16
    vldrb.u8 q1, [r2], #16
    vmladava.s8 r0, q0, q1
    letp lr, 1b
2:  pop {r7, pc}
    .size embernet_mve_dot, . - embernet_mve_dot

@ fn(x, sums, len): sums[i] += x[i]
embernet_mve_function embernet_mve_accumulate
    push {r7, lr}
    wlstp.32 lr, r2, 2f
1:  vldrb.s32 q0, [r0], #4
    vldrw.u32 q1, [r1]
    vadd.i32 q0, q0, q1
    vstrw.32 q0, [r1], #16
    letp lr, 1b
2:  pop {r7, pc}
    .size embernet_mve_accumulate, . - embernet_mve_accumulate

@ fn(x, y, len): y[i] = max(y[i], x[i])
embernet_mve_function embernet_mve_max
    push {r7, lr}
    wlstp.8 lr, r2, 2f
1:  vldrb.u8 q0, [r0], #16
    vldrb.u8 q1, [r1]
    vmax.s8 q0, q0, q1
    vstrb.8 q0, [r1], #16
    letp lr, 1b
2:  pop {r7, pc}
    .size embernet_mve_max, . - embernet_mve_max

@ Multiplies, and divides by a power of two: halves away from zero, where the shift is not 0.
.macro embernet_mve_rescale vector, multiplier, shift, shifts
    vqrdmulh.s32 \vector, \vector, \multiplier
    vand q2, \vector, \shifts
    vshr.s32 q2, q2, #31
    vqadd.s32 \vector, \vector, q2
    vrshl.s32 \vector, \shift
.endm

@ fn(a, b, y, numbers): y[i] = a[i] + b[i], both shifted left by 20 bits and rescaled. Numbers: len, least and greatest
@ output; offset, multiplier and shift for a, then for b, then multiplier, shift and zero point of the output.
embernet_mve_function embernet_mve_add
    push {r4-r11, lr}
    vpush {d8-d15}
    ldm r3!, {r4-r6}
    vdup.32 q6, r5
    vdup.32 q7, r6
    mov r12, r4
    ldm r3, {r3-r11}
    vdup.32 q3, r5
    vdup.32 q4, r8
    vdup.32 q5, r10
    wlstp.32 lr, r12, 2f
1:  vldrb.s32 q0, [r0], #4
    vadd.i32 q0, q0, r3
    vshl.i32 q0, q0, #20
    embernet_mve_rescale q0, r4, r5, q3
    vldrb.s32 q1, [r1], #4
    vadd.i32 q1, q1, r6
    vshl.i32 q1, q1, #20
    embernet_mve_rescale q1, r7, r8, q4
    vadd.i32 q0, q0, q1
    embernet_mve_rescale q0, r9, r10, q5
    vadd.i32 q0, q0, r11
    vmax.s32 q0, q0, q6
    vmin.s32 q0, q0, q7
    vstrb.32 q0, [r2], #4
    letp lr, 1b
2:  vpop {d8-d15}
    pop {r4-r11, pc}
    .size embernet_mve_add, . - embernet_mve_add

.purgem embernet_mve_function
.purgem embernet_mve_rescale
