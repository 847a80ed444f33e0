@ Optimisers' updates.

.fpu fpv4-sp-d16

@ Four weights at r2 by gradient descent: s4 to s7 are their gradients; s0: rate, s1: decay, r7: 0 if there is none.
.macro descend_four
    vldmia r2, {s8-s11}
    cbz r7, .Lkept\@
    vmul.f32 s12, s1, s8
    vmul.f32 s13, s1, s9
    vmul.f32 s14, s1, s10
    vmul.f32 s15, s1, s11
    vadd.f32 s4, s4, s12
    vadd.f32 s5, s5, s13
    vadd.f32 s6, s6, s14
    vadd.f32 s7, s7, s15
.Lkept\@:
    vmul.f32 s4, s0, s4
    vmul.f32 s5, s0, s5
    vmul.f32 s6, s0, s6
    vmul.f32 s7, s0, s7
    vsub.f32 s8, s8, s4
    vsub.f32 s9, s9, s5
    vsub.f32 s10, s10, s6
    vsub.f32 s11, s11, s7
    vstmia r2!, {s8-s11}
.endm

@ Two weights; s4 and s5 are their gradients.
.macro descend_two
    vldmia r2, {s8, s9}
    cbz r7, .Lkept\@
    vmul.f32 s12, s1, s8
    vmul.f32 s13, s1, s9
    vadd.f32 s4, s4, s12
    vadd.f32 s5, s5, s13
.Lkept\@:
    vmul.f32 s4, s0, s4
    vmul.f32 s5, s0, s5
    vsub.f32 s8, s8, s4
    vsub.f32 s9, s9, s5
    vstmia r2!, {s8, s9}
.endm

@ One weight; s4 is its gradient.
.macro descend_one
    vldr s8, [r2]
    cbz r7, .Lkept\@
    vmul.f32 s12, s1, s8
    vadd.f32 s4, s4, s12
.Lkept\@:
    vmul.f32 s4, s0, s4
    vsub.f32 s8, s8, s4
    vstmia r2!, {s8}
.endm

@ r7: the bits of s1 without the sign.
.macro look_for_decay
    vmov r7, s1
    lsls r7, #1
.endm

@ Gradient descent: w -= rate * (g + decay * w). r0: g, r1: how many, at least one, r2: w; s0: rate, s1: decay.
.section .text.embernet_f32_descend, "ax", %progbits
.global embernet_f32_descend
.type embernet_f32_descend, %function
.thumb_func
embernet_f32_descend:
    push {r7, lr}
    look_for_decay
    lsrs r3, r1, #2
    beq 2f
1:  vldmia r0!, {s4-s7}
    descend_four
    subs r3, #1
    bne 1b
2:  ands r1, #3
    beq 4f
3:  vldmia r0!, {s4}
    descend_one
    subs r1, #1
    bne 3b
4:  pop {r7, pc}

@ Gradient descent by one sample: the gradient of w[r][c] is 0 + dy[r] * x[c]. r0: dy, x, w, rows and columns, at least
@ one of each, then rate and decay.
.section .text.embernet_f32_descend_outer, "ax", %progbits
.global embernet_f32_descend_outer
.type embernet_f32_descend_outer, %function
.thumb_func
embernet_f32_descend_outer:
    push {r4-r7, lr}
    add r4, r0, #20
    vldmia r4, {s0, s1}
    look_for_decay
    ldm r0, {r0, r1, r2, r3, r4}
    movs r5, #0
    vmov s3, r5
1:  vldmia r0!, {s2}
    mov r5, r1
    lsrs r6, r4, #2
    beq 3f
2:  vldmia r5!, {s4-s7}
    vmul.f32 s4, s2, s4
    vmul.f32 s5, s2, s5
    vmul.f32 s6, s2, s6
    vmul.f32 s7, s2, s7
    vadd.f32 s4, s3, s4
    vadd.f32 s5, s3, s5
    vadd.f32 s6, s3, s6
    vadd.f32 s7, s3, s7
    descend_four
    subs r6, #1
    bne 2b
3:  lsls r6, r4, #31
    bcc 4f
    vldmia r5!, {s4, s5}
    vmul.f32 s4, s2, s4
    vmul.f32 s5, s2, s5
    vadd.f32 s4, s3, s4
    vadd.f32 s5, s3, s5
    descend_two
4:  beq 5f
    vldr s4, [r5]
    vmul.f32 s4, s2, s4
    vadd.f32 s4, s3, s4
    descend_one
5:  subs r3, #1
    bne 1b
    pop {r4-r7, pc}

@ What is less than half of \bound in size, as bits, becomes zero (s6); not-a-number stays.
.macro settle element, bound, bits
    cmp \bound, \bits, lsl #1
    it hi
    vmovhi.f32 \element, s6
.endm

@ Adam by one sample: the gradient of a weight is 0 + dy[r] * x[c]. r0: dy, x, w, m, v, rows and columns, at least one
@ of each, twice the bits of what is tiny for first and for second moments, then rate, 1 - beta 1, 1 - beta 2, epsilon
@ and decay.
@ r0: dy, r1: x, r2: w, r3: m, r4: v, r8 and r9: what is tiny, r10: rows, r11: columns, r12: x of the next row, lr: 0
@ if nothing decays.
.section .text.embernet_f32_adam, "ax", %progbits
.global embernet_f32_adam
.type embernet_f32_adam, %function
.thumb_func
embernet_f32_adam:
    push {r4-r11, lr}
    add r4, r0, #36
    vldmia r4, {s0-s4}
    vmov r4, s4
    lsl lr, r4, #1
    ldm r0, {r0-r6, r8, r9}
    mov r10, r5
    mov r11, r6
    mov r12, r1
    movs r5, #0
    vmov s6, r5
1:  vldmia r0!, {s5}
    mov r1, r12
    lsrs r7, r11, #1
    beq 3f

@ Two weights.
2:  vldmia r1!, {s8, s9}
    vldmia r2, {s10, s11}
    vmul.f32 s8, s5, s8
    vmul.f32 s9, s5, s9
    vadd.f32 s8, s6, s8
    vadd.f32 s9, s6, s9
    cmp lr, #0
    beq 5f
    vmul.f32 s12, s4, s10
    vmul.f32 s13, s4, s11
    vadd.f32 s8, s8, s12
    vadd.f32 s9, s9, s13
5:  vldmia r3, {s12, s13}
    vmov r5, r6, s8, s9
    settle s8, r8, r5
    settle s9, r8, r6
    vsub.f32 s14, s8, s12
    vsub.f32 s15, s9, s13
    vmul.f32 s14, s14, s1
    vmul.f32 s15, s15, s1
    vadd.f32 s12, s12, s14
    vadd.f32 s13, s13, s15
    vldmia r4, {s14, s15}
    vmov r5, r6, s12, s13
    settle s12, r8, r5
    settle s13, r8, r6
    vstmia r3!, {s12, s13}
    vmul.f32 s8, s8, s8
    vmul.f32 s9, s9, s9
    vsub.f32 s8, s8, s14
    vsub.f32 s9, s9, s15
    vmul.f32 s8, s8, s2
    vmul.f32 s9, s9, s2
    vadd.f32 s14, s14, s8
    vadd.f32 s15, s15, s9
    vmul.f32 s12, s0, s12
    vmul.f32 s13, s0, s13
    vmov r5, r6, s14, s15
    settle s14, r9, r5
    settle s15, r9, r6
    vstmia r4!, {s14, s15}
    vsqrt.f32 s14, s14
    vsqrt.f32 s15, s15
    vadd.f32 s14, s14, s3
    vadd.f32 s15, s15, s3
    vdiv.f32 s12, s12, s14
    vdiv.f32 s13, s13, s15
    vsub.f32 s10, s10, s12
    vsub.f32 s11, s11, s13
    vstmia r2!, {s10, s11}
    subs r7, #1
    bne 2b

@ One weight.
3:  lsls r7, r11, #31
    beq 4f
    vldr s8, [r1]
    vldr s10, [r2]
    vldr s12, [r3]
    vldr s14, [r4]
    vmul.f32 s8, s5, s8
    vadd.f32 s8, s6, s8
    cmp lr, #0
    beq 6f
    vmul.f32 s9, s4, s10
    vadd.f32 s8, s8, s9
6:  vmov r5, s8
    settle s8, r8, r5
    vsub.f32 s9, s8, s12
    vmul.f32 s9, s9, s1
    vadd.f32 s12, s12, s9
    vmov r5, s12
    settle s12, r8, r5
    vstmia r3!, {s12}
    vmul.f32 s8, s8, s8
    vsub.f32 s8, s8, s14
    vmul.f32 s8, s8, s2
    vadd.f32 s14, s14, s8
    vmul.f32 s12, s0, s12
    vmov r5, s14
    settle s14, r9, r5
    vstmia r4!, {s14}
    vsqrt.f32 s14, s14
    vadd.f32 s14, s14, s3
    vdiv.f32 s12, s12, s14
    vsub.f32 s10, s10, s12
    vstmia r2!, {s10}
4:  subs r10, #1
    bne 1b
    pop {r4-r11, pc}
