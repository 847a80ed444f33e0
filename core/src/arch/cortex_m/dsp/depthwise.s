@ Depthwise convolutions, three by three taps: see `lines.rs` beside the twins.

@ The frame; `Frame` in `depthwise.rs`.
    .equ    .Lbias, 0             @ of the line: with what a row beside the input adds
    .equ    .Ldoubled, 4
    .equ    .Lpower, 8
    .equ    .Lzero, 12
    .equ    .Loutput, 16          @ where the next output goes
    .equ    .Loutput_step, 20
    .equ    .Lstream, 24
    .equ    .Lfirst_row, 28       @ of the channel: where the first line's taps begin, perhaps before the input
    .equ    .Lfirst_output, 32
    .equ    .Lrow, 36             @ of the line
    .equ    .Lline_output, 40
    .equ    .Lline, 44            @ lines left
    .equ    .Llines, 48
    .equ    .Lrow_step, 52
    .equ    .Lline_step, 56
    .equ    .Ldown, 60            @ distance between rows of taps
    .equ    .Lacross, 64          @ and between columns
    .equ    .Lrounds, 68          @ rounds of the loop less 1, in the upper half
    .equ    .Lflags, 72
    .equ    .Lpad, 76             @ what lies beside the input, in both halves
    .equ    .Lchannels, 80
    .equ    .Lchannel_bias, 84
    .equ    .Lframe, 88
@ Flags.
    .equ    .Lbefore, 1           @ a column before the input
    .equ    .Lbehind, 2           @ and one behind it
    .equ    .Labove, 4            @ the first line's first row lies beside the input
    .equ    .Lbelow, 8            @ the last line's last row does
    .equ    .Lsingle, 16          @ an output is left after the loop
    .equ    .Lnone, 32            @ no rounds
    .equ    .Ltwos, 64            @ stride 2

@ Loads a column: its first two rows as a pair in r1, the third in r3.
    .macro embernet_dsp_column
    ldrsb   r1, [r0]
    ldrsb   r2, [r0, lr]
    ldrsb   r3, [r0, lr, lsl #1]
    add     r0, r0, r12
    pkhbt   r1, r1, r2, lsl #16
    .endm

@ The column ends an output, whose sum goes to `sum`.
    .macro embernet_dsp_ends sum
    smlad   \sum, r1, r6, r9
    smlabb  \sum, r3, r8, \sum
    .endm

@ The column is the second of the next output, and the first of the one after that.
    .macro embernet_dsp_goes_on
    smlad   r9, r1, r5, r10
    smlabt  r9, r3, r7, r9
    smuad   r10, r1, r4
    smlabb  r10, r3, r7, r10
    .endm

@ The sum in r2 becomes the next output.
    .macro embernet_dsp_finish
    ldr     r1, [sp, #.Lbias]
    ldr     r3, [sp, #.Ldoubled]
    add     r2, r2, r1
    smmlar  r2, r2, r3, r2
    lsl     r2, r2, #2
    add     r2, r2, r2, asr #31
    ldr     r1, [sp, #.Lpower]
    ldr     r3, [sp, #.Lzero]
    smmlar  r2, r2, r1, r3
    ssat    r2, #8, r2
    ldr     r1, [sp, #.Loutput]
    ldr     r3, [sp, #.Loutput_step]
    strb    r2, [r1]
    add     r1, r1, r3
    str     r1, [sp, #.Loutput]
    .endm

    .section .text.embernet_dsp_depthwise, "ax", %progbits
    .global embernet_dsp_depthwise
    .type embernet_dsp_depthwise, %function
    .thumb_func
    .p2align 2
@ Taps of the first two rows in r4-r6, a column each; of the third row in r7 (two columns) and r8, whose upper half
@ counts rounds. r9, r10: sums of the two outputs that have begun. r0 walks along the line, lr is the distance between
@ its rows, r12 that between its columns.
embernet_dsp_depthwise:
    push    {r4-r11, lr}
    sub     sp, sp, #.Lframe
    mov     r8, sp
    ldmia   r0!, {r1-r7}
    stmia   r8!, {r1-r7}
    ldmia   r0!, {r1-r7}
    stmia   r8!, {r1-r7}
    ldmia   r0!, {r1-r7}
    stmia   r8!, {r1-r7}
1:                              @ a channel
    ldr     r0, [sp, #.Lstream]
    ldmia   r0!, {r1-r3}
    str     r1, [sp, #.Lchannel_bias]
    strd    r2, r3, [sp, #.Ldoubled]
    str     r0, [sp, #.Lstream]
    ldrd    r1, r2, [sp, #.Lfirst_row]
    strd    r1, r2, [sp, #.Lrow]
    ldr     r3, [sp, #.Llines]
    str     r3, [sp, #.Lline]
2:                              @ a line
    ldr     r0, [sp, #.Lstream]
    ldmia   r0, {r1, r2, r8}
    sxtb16  r4, r1
    sxtb16  r5, r1, ror #8
    sxtb16  r6, r2
    sxtb16  r7, r2, ror #8
    ldr     r0, [sp, #.Lrow]
    ldr     r1, [sp, #.Lline_output]
    ldr     r2, [sp, #.Lline]
    ldr     r3, [sp, #.Llines]
    ldr     lr, [sp, #.Ldown]
    ldr     r12, [sp, #.Lacross]
    ldr     r9, [sp, #.Lchannel_bias]
    ldr     r10, [sp, #.Lpad]
    ldr     r11, [sp, #.Lflags]
    str     r1, [sp, #.Loutput]
    cmp     r2, r3
    bne     3f
    tst     r11, #.Labove
    beq     3f
    smlabb  r9, r10, r4, r9
    smlabb  r9, r10, r5, r9
    smlabb  r9, r10, r6, r9
    lsl     r1, r7, #16
    lsl     r3, r8, #16
    pkhtb   r4, r1, r4, asr #16
    pkhtb   r5, r7, r5, asr #16
    pkhtb   r6, r3, r6, asr #16
    mov     r7, #0
    mov     r8, #0
    add     r0, r0, lr
3:  cmp     r2, #1
    bne     4f
    tst     r11, #.Lbelow
    beq     4f
    smlabb  r9, r10, r7, r9
    smlabt  r9, r10, r7, r9
    smlabb  r9, r10, r8, r9
    pkhtb   r7, r5, r4, asr #16
    asr     r8, r6, #16
    lsl     r4, r4, #16
    lsl     r5, r5, #16
    lsl     r6, r6, #16
    sub     r0, r0, lr
4:  ldr     r1, [sp, #.Lrounds]
    str     r9, [sp, #.Lbias]
    pkhbt   r8, r8, r1
    mov     r1, r10
    mov     r3, r10
    tst     r11, #.Lbefore
    bne     5f
    embernet_dsp_column
5:  smuad   r9, r1, r4
    smlabb  r9, r3, r7, r9
    tst     r11, #.Ltwos
    bne     20f
    mov     r10, r9
    embernet_dsp_column
    embernet_dsp_goes_on
    tst     r11, #.Lnone
    bne     7f
6:  embernet_dsp_column
    embernet_dsp_ends r11
    embernet_dsp_goes_on
    embernet_dsp_column
    embernet_dsp_ends r2
    embernet_dsp_goes_on
    ldr     r1, [sp, #.Lbias]
    ldr     r3, [sp, #.Ldoubled]
    add     r11, r11, r1
    add     r2, r2, r1
    smmlar  r11, r11, r3, r11
    smmlar  r2, r2, r3, r2
    lsl     r11, r11, #2
    lsl     r2, r2, #2
    add     r11, r11, r11, asr #31
    add     r2, r2, r2, asr #31
    ldr     r1, [sp, #.Lpower]
    ldr     r3, [sp, #.Lzero]
    smmlar  r11, r11, r1, r3
    smmlar  r2, r2, r1, r3
    ssat    r11, #8, r11
    ssat    r2, #8, r2
    ldr     r1, [sp, #.Loutput]
    ldr     r3, [sp, #.Loutput_step]
    strb    r11, [r1]
    strb    r2, [r1, r3]
    add     r1, r1, r3, lsl #1
    str     r1, [sp, #.Loutput]
    subs    r8, r8, #0x10000
    bcs     6b
    ldr     r11, [sp, #.Lflags]
7:  tst     r11, #.Lsingle
    beq     8f
    embernet_dsp_column
    embernet_dsp_ends r2
    embernet_dsp_goes_on
    embernet_dsp_finish
8:  tst     r11, #.Lbehind
    beq     10f
9:  ldr     r1, [sp, #.Lpad]
    mov     r3, r1
    embernet_dsp_ends r2
    embernet_dsp_finish
10:                             @ to the next line
    add     r8, sp, #.Lrow
    ldmia   r8, {r0-r5}         @ row, line_output, line, lines, row_step, line_step
    add     r0, r0, r4
    add     r1, r1, r5
    subs    r2, r2, #1
    stmia   r8, {r0-r2}
    bne     2b
    ldrd    r0, r1, [sp, #.Lfirst_row]
    adds    r0, #1
    adds    r1, #1
    strd    r0, r1, [sp, #.Lfirst_row]
    ldr     r0, [sp, #.Lstream]
    adds    r0, #12
    str     r0, [sp, #.Lstream]
    ldr     r0, [sp, #.Lchannels]
    subs    r0, r0, #1
    str     r0, [sp, #.Lchannels]
    bne     1b
    add     sp, sp, #.Lframe
    pop     {r4-r11, pc}

20: tst     r11, #.Lnone
    bne     22f
21: embernet_dsp_column
    smlad   r9, r1, r5, r9
    smlabt  r9, r3, r7, r9
    embernet_dsp_column
    embernet_dsp_ends r2
    smuad   r9, r1, r4
    smlabb  r9, r3, r7, r9
    embernet_dsp_finish
    subs    r8, r8, #0x10000
    bcs     21b
22: tst     r11, #.Lbehind
    beq     10b
    embernet_dsp_column
    smlad   r9, r1, r5, r9
    smlabt  r9, r3, r7, r9
    b       9b
    .size embernet_dsp_depthwise, . - embernet_dsp_depthwise
