@ What several loops use. Those of the M33 are the instructions of the M4 and M7, as far as these loops go.
    .cpu cortex-m33

@ How sums become outputs: see `Factors` beside the twins. First of three steps.
    .macro embernet_dsp_scale sum, doubled
    smmlar  \sum, \sum, \doubled, \sum
    .endm

@ The second, but for a layer that is clipped.
    .macro embernet_dsp_away sum
    lsl     \sum, \sum, #2
    add     \sum, \sum, \sum, asr #31
    .endm

@ The third.
    .macro embernet_dsp_divide sum, power, zero
    smmlsr  \sum, \sum, \power, \zero
    ssat    \sum, #8, \sum
    .endm

@ Four inputs, four outputs: 16 products.
    .macro embernet_dsp_dense_four
    ldr     r2, [r0], #4
    ldr     r8, [r12], #4
    ldr     r9, [r12], #4
    ldr     r10, [r12], #4
    ldr     r11, [r12], #4
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
    sxtb16  lr, r8
    smlad   r4, r2, lr, r4
    sxtb16  r8, r8, ror #8
    smlad   r5, r2, r8, r5
    sxtb16  lr, r9
    smlad   r6, r2, lr, r6
    sxtb16  r9, r9, ror #8
    smlad   r7, r2, r9, r7
    sxtb16  lr, r10
    smlad   r4, r3, lr, r4
    sxtb16  r10, r10, ror #8
    smlad   r5, r3, r10, r5
    sxtb16  lr, r11
    smlad   r6, r3, lr, r6
    sxtb16  r11, r11, ror #8
    smlad   r7, r3, r11, r7
    .endm
