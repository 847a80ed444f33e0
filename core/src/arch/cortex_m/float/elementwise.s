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
