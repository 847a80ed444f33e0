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

@ s0: its square root.
.section .text.embernet_f32_root, "ax", %progbits
.global embernet_f32_root
.type embernet_f32_root, %function
.thumb_func
embernet_f32_root:
    vsqrt.f32 s0, s0
    bx lr
