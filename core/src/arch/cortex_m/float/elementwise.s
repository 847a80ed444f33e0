@ Loops over single elements, four at a time.

.fpu fpv4-sp-d16

@ Replaces \element by s0 where the comparison with s0 holds; never for not-a-number.
.macro limit element, condition
    vcmp.f32 \element, s0
    vmrs APSR_nzcv, fpscr
    it \condition
    vmov\condition\().f32 \element, s0
.endm

@ r0: y, r1: how many, at least one; s0: the limit.
.macro limits name, condition
.section .text.\name, "ax", %progbits
.global \name
.type \name, %function
.thumb_func
\name:
    lsrs r2, r1, #2
    beq 2f
1:  vldmia r0, {s4-s7}
    limit s4, \condition
    limit s5, \condition
    limit s6, \condition
    limit s7, \condition
    vstmia r0!, {s4-s7}
    subs r2, #1
    bne 1b
2:  ands r1, #3
    beq 4f
3:  vldr s4, [r0]
    limit s4, \condition
    vstmia r0!, {s4}
    subs r1, #1
    bne 3b
4:  bx lr
.endm

limits embernet_f32_at_least, mi
limits embernet_f32_at_most, gt

@ Gradient descent: w -= rate * (g + decay * w). r0: g, r1: w, r2: how many, at least one; s0: rate, s1: decay.
.section .text.embernet_f32_descend, "ax", %progbits
.global embernet_f32_descend
.type embernet_f32_descend, %function
.thumb_func
embernet_f32_descend:
    lsrs r3, r2, #2
    beq 2f
1:  vldmia r0!, {s4-s7}
    vldmia r1, {s8-s11}
    vmul.f32 s12, s1, s8
    vmul.f32 s13, s1, s9
    vmul.f32 s14, s1, s10
    vmul.f32 s15, s1, s11
    vadd.f32 s4, s4, s12
    vadd.f32 s5, s5, s13
    vadd.f32 s6, s6, s14
    vadd.f32 s7, s7, s15
    vmul.f32 s4, s0, s4
    vmul.f32 s5, s0, s5
    vmul.f32 s6, s0, s6
    vmul.f32 s7, s0, s7
    vsub.f32 s8, s8, s4
    vsub.f32 s9, s9, s5
    vsub.f32 s10, s10, s6
    vsub.f32 s11, s11, s7
    vstmia r1!, {s8-s11}
    subs r3, #1
    bne 1b
2:  ands r2, #3
    beq 4f
3:  vldmia r0!, {s4}
    vldr s8, [r1]
    vmul.f32 s12, s1, s8
    vadd.f32 s4, s4, s12
    vmul.f32 s4, s0, s4
    vsub.f32 s8, s8, s4
    vstmia r1!, {s8}
    subs r2, #1
    bne 3b
4:  bx lr

@ s0: its square root.
.section .text.embernet_f32_root, "ax", %progbits
.global embernet_f32_root
.type embernet_f32_root, %function
.thumb_func
embernet_f32_root:
    vsqrt.f32 s0, s0
    bx lr

@ What is less than \least in size becomes zero (s11); not-a-number stays.
.macro settle element, least
    vabs.f32 s12, \element
    vcmp.f32 s12, \least
    vmrs APSR_nzcv, fpscr
    it mi
    vmovmi.f32 \element, s11
.endm

@ Adam. r0: addresses of g, w, m and v, how many, at least one; then rate, 1 - beta 1, 1 - beta 2, epsilon, decay, and
@ what is tiny for the first and for the second moments.
.section .text.embernet_f32_adam, "ax", %progbits
.global embernet_f32_adam
.type embernet_f32_adam, %function
.thumb_func
embernet_f32_adam:
    push {r4, lr}
    add r4, r0, #20
    vldmia r4, {s0-s6}
    ldm r0, {r0, r1, r2, r3, r4}
    mov lr, #0
    vmov s11, lr
1:  vldmia r0!, {s7}
    vldr s8, [r1]
    vldr s9, [r2]
    vldr s10, [r3]
    vmul.f32 s12, s4, s8
    vadd.f32 s7, s7, s12
    settle s7, s5
    vsub.f32 s12, s7, s9
    vmul.f32 s12, s12, s1
    vadd.f32 s9, s9, s12
    settle s9, s5
    vmul.f32 s7, s7, s7
    vsub.f32 s7, s7, s10
    vmul.f32 s7, s7, s2
    vadd.f32 s10, s10, s7
    settle s10, s6
    vmul.f32 s7, s0, s9
    vsqrt.f32 s12, s10
    vadd.f32 s12, s12, s3
    vdiv.f32 s7, s7, s12
    vsub.f32 s8, s8, s7
    vstmia r1!, {s8}
    vstmia r2!, {s9}
    vstmia r3!, {s10}
    subs r4, #1
    bne 1b
    pop {r4, pc}
