@ Sums of int8 on a core with long multiplication and without DSP extension (Cortex-M3): see arch/sums.rs for the numbers.
    .syntax unified
    .thumb

    @ lr, four times an input or a sum, scaled: its mantissa, rounding and power.
    .macro embernet_thumb2_add_scale mantissa, rounding, power
    smull r12, lr, lr, \mantissa
    adds lr, lr, #1
    it mi
    submi lr, lr, #2
    add lr, lr, \rounding
    asr lr, lr, \power
    .endm

    .macro embernet_thumb2_add_one
    ldrsb lr, [r1], #1
    add lr, r5, lr, lsl #22
    embernet_thumb2_add_scale r6, r7, r8
    ldrsb r12, [r0], #1
    add r12, r4, r12, lsl #21
    add lr, r12, lr, lsl #2
    embernet_thumb2_add_scale r9, r10, r11
    ssat lr, #8, lr
    strb lr, [r2], #1
    .endm

@ r0: a, r1: b, r2: y, r3: how many, at least one; on the stack where the eight numbers lie.
    .section .text.embernet_thumb2_add, "ax", %progbits
    .global embernet_thumb2_add
    .type embernet_thumb2_add, %function
    .thumb_func
embernet_thumb2_add:
    push {r4-r11, lr}
    ldr r12, [sp, #36]
    ldm r12, {r4-r11}
    lsrs r3, r3, #1
    bcc 1f
    embernet_thumb2_add_one
    cmp r3, #0
    beq 2f
1:  embernet_thumb2_add_one
    embernet_thumb2_add_one
    subs r3, r3, #1
    bne 1b
2:  pop {r4-r11, pc}
    .size embernet_thumb2_add, . - embernet_thumb2_add
