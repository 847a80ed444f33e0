@ Bytes, four at a time: r0 and r1 walk along both operands, r2 counts words, at least one.

    .section .text.embernet_dsp_accumulate, "ax", %progbits
    .global embernet_dsp_accumulate
    .type embernet_dsp_accumulate, %function
    .thumb_func
@ Adds bytes to sums of 32 bits.
embernet_dsp_accumulate:
    push    {r4-r7, lr}
1:  ldr     r3, [r0], #4
    ldm     r1, {r4-r7}
    sxtab   r4, r4, r3
    sxtab   r5, r5, r3, ror #8
    sxtab   r6, r6, r3, ror #16
    sxtab   r7, r7, r3, ror #24
    stm     r1!, {r4-r7}
    subs    r2, #1
    bne     1b
    pop     {r4-r7, pc}
    .size embernet_dsp_accumulate, . - embernet_dsp_accumulate

    .section .text.embernet_dsp_max, "ax", %progbits
    .global embernet_dsp_max
    .type embernet_dsp_max, %function
    .thumb_func
@ The greater ones, to the second operand.
embernet_dsp_max:
    push    {r4, lr}
1:  ldr     r3, [r0], #4
    ldr     r4, [r1]
    ssub8   r12, r3, r4
    sel     r3, r3, r4
    str     r3, [r1], #4
    subs    r2, #1
    bne     1b
    pop     {r4, pc}
    .size embernet_dsp_max, . - embernet_dsp_max
