@ Depthwise convolutions, three by three taps: see `lines.rs` beside the twins.

@ The frame; `Frame` in `depthwise.rs`, and what only the loop knows.
    .equ    .Lbias, 0             @ of the line: with what a row beside the input adds
    .equ    .Ldoubled, 4
    .equ    .Lpower, 8
    .equ    .Lzero, 12
    .equ    .Loutput_step, 16
    .equ    .Lstream, 20
    .equ    .Lfirst_row, 24       @ of the channel: where the first line's taps begin, perhaps before the input
    .equ    .Lfirst_output, 28
    .equ    .Lrow, 32             @ of the line
    .equ    .Lline_output, 36
    .equ    .Lline, 40            @ lines left
    .equ    .Lchange, 44          @ how many are left when weights are other ones
    .equ    .Lrow_step, 48
    .equ    .Lline_step, 52
    .equ    .Llines, 56
    .equ    .Ldown, 60            @ distance between rows of taps
    .equ    .Lacross, 64          @ and between columns
    .equ    .Lrounds, 68          @ rounds of two outputs less 1, in the upper half
    .equ    .Lsingles, 72         @ outputs behind them less 1, likewise
    .equ    .Lflags, 76
    .equ    .Lpad, 80             @ what lies beside the input, in both halves
    .equ    .Lchannels, 84
    .equ    .Loutput, 88          @ where the next output goes
    .equ    .Lchannel_bias, 92
    .equ    .Lstart, 96           @ what a column before the input adds to an output
    .equ    .Lframe, 104
@ Flags.
    .equ    .Lbefore, 1           @ a column before the input
    .equ    .Lbehind, 2           @ and one behind it
    .equ    .Labove, 4            @ the first line's first row lies beside the input
    .equ    .Lbelow_bit, 3        @ the last line's last row does
    .equ    .Lpairs, 16           @ there are rounds
    .equ    .Lsingle, 32          @ outputs are left after them
    .equ    .Ltwos, 64            @ stride 2
    .equ    .Lgeneral, 128        @ factors are the general ones
    .equ    .Llast_two, 256       @ a single output and one that ends behind the input, factors not general

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

@ Two columns more, at stride 2: the first is the second of an output, the second its last and the first of the next.
    .macro embernet_dsp_two_columns sum
    embernet_dsp_column
    smlad   r9, r1, r5, r9
    smlabt  r9, r3, r7, r9
    embernet_dsp_column
    embernet_dsp_ends \sum
    smuad   r9, r1, r4
    smlabb  r9, r3, r7, r9
    .endm

@ The sums in r11 and r2 become the next two outputs of a layer that is clipped.
    .macro embernet_dsp_finish_two
    ldrd    r1, r3, [sp, #.Lbias]
    add     r11, r11, r1
    add     r2, r2, r1
    embernet_dsp_scale r11, r3
    embernet_dsp_scale r2, r3
    ldrd    r1, r3, [sp, #.Lpower]
    embernet_dsp_divide r11, r1, r3
    embernet_dsp_divide r2, r1, r3
    ldr     r1, [sp, #.Loutput]
    ldr     r3, [sp, #.Loutput_step]
    strb    r11, [r1]
    strb    r2, [r1, r3]
    add     r1, r1, r3, lsl #1
    str     r1, [sp, #.Loutput]
    .endm

@ The sum in r2 becomes the next output; r11 has the flags.
    .macro embernet_dsp_finish
    ldrd    r1, r3, [sp, #.Lbias]
    add     r2, r2, r1
    embernet_dsp_scale r2, r3
    ldrd    r1, r3, [sp, #.Lpower]
    tst     r11, #.Lgeneral
    itt     ne
    lslne   r2, r2, #2
    addne   r2, r2, r2, asr #31
    embernet_dsp_divide r2, r1, r3
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
    mov     r12, sp
    .rept   2
    ldmia   r0!, {r1-r11}
    stmia   r12!, {r1-r11}
    .endr
    ldrd    lr, r12, [sp, #.Ldown]
1:                              @ a channel
    ldr     r0, [sp, #.Lstream]
    ldmia   r0!, {r1-r3}
    str     r1, [sp, #.Lchannel_bias]
    strd    r2, r3, [sp, #.Ldoubled]
    str     r0, [sp, #.Lstream]
    ldrd    r1, r2, [sp, #.Lfirst_row]
    ldr     r3, [sp, #.Llines]
    strd    r1, r2, [sp, #.Lrow]
    str     r3, [sp, #.Lline]
2:                              @ a line with other weights than the one before it
    ldr     r0, [sp, #.Lstream]
    ldmia   r0, {r1, r2, r8}
    sxtb16  r4, r1
    sxtb16  r5, r1, ror #8
    sxtb16  r6, r2
    sxtb16  r7, r2, ror #8
    ldr     r0, [sp, #.Lrow]
    ldr     r9, [sp, #.Lchannel_bias]
    ldrd    r11, r10, [sp, #.Lflags]
    ldr     r2, [sp, #.Lline]
    ldr     r3, [sp, #.Llines]
    ubfx    r1, r11, #.Lbelow_bit, #1
    str     r1, [sp, #.Lchange]
    cmp     r2, r3
    bne     3f
    tst     r11, #.Labove
    beq     3f
    subs    r1, r2, #1
    str     r1, [sp, #.Lchange]
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
    tst     r11, #1 << .Lbelow_bit
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
4:  str     r9, [sp, #.Lbias]
    smuad   r9, r10, r4
    ldr     r1, [sp, #.Lline_output]
    smlabb  r9, r10, r7, r9
    str     r9, [sp, #.Lstart]
5:                              @ a line: r0 is where it begins, r1 where its outputs go, r11 has the flags
    str     r1, [sp, #.Loutput]
    ldr     r2, [sp, #.Lrounds]
    ldr     r9, [sp, #.Lstart]
    pkhbt   r8, r8, r2
    tst     r11, #.Lbefore
    bne     6f
    embernet_dsp_column
    smuad   r9, r1, r4
    smlabb  r9, r3, r7, r9
6:  tst     r11, #.Ltwos
    bne     20f
    mov     r10, r9
    embernet_dsp_column
    embernet_dsp_goes_on
    tst     r11, #.Lpairs
    beq     8f
7:  embernet_dsp_column
    embernet_dsp_ends r11
    embernet_dsp_goes_on
    embernet_dsp_column
    embernet_dsp_ends r2
    embernet_dsp_goes_on
    embernet_dsp_finish_two
    subs    r8, r8, #0x10000
    bcs     7b
    ldr     r11, [sp, #.Lflags]
8:  tst     r11, #.Llast_two
    bne     14f
    tst     r11, #.Lsingle
    beq     10f
    ldr     r2, [sp, #.Lsingles]
    pkhbt   r8, r8, r2
9:  embernet_dsp_column
    embernet_dsp_ends r2
    embernet_dsp_goes_on
    embernet_dsp_finish
    subs    r8, r8, #0x10000
    bcs     9b
10: tst     r11, #.Lbehind
    beq     12f
11: ldr     r1, [sp, #.Lpad]
    mov     r3, r1
    embernet_dsp_ends r2
    embernet_dsp_finish
12:                             @ to the next line
    ldrd    r0, r1, [sp, #.Lrow]
    ldrd    r2, r3, [sp, #.Lline]
    ldrd    r9, r10, [sp, #.Lrow_step]
    subs    r2, r2, #1
    beq     13f
    str     r2, [sp, #.Lline]
    add     r0, r0, r9
    add     r1, r1, r10
    strd    r0, r1, [sp, #.Lrow]
    cmp     r2, r3
    bne     5b
    b       2b
13:                             @ to the next channel
    ldrd    r0, r1, [sp, #.Lfirst_row]
    adds    r0, #1
    adds    r1, #1
    strd    r0, r1, [sp, #.Lfirst_row]
    ldr     r0, [sp, #.Lstream]
    ldr     r1, [sp, #.Lchannels]
    adds    r0, #12
    str     r0, [sp, #.Lstream]
    subs    r1, #1
    str     r1, [sp, #.Lchannels]
    bne     1b
    add     sp, sp, #.Lframe
    pop     {r4-r11, pc}

14:                             @ the last two outputs together
    embernet_dsp_column
    embernet_dsp_ends r11
    embernet_dsp_goes_on
    ldr     r1, [sp, #.Lpad]
    mov     r3, r1
    embernet_dsp_ends r2
    embernet_dsp_finish_two
    ldr     r11, [sp, #.Lflags]
    b       12b

20: tst     r11, #.Lpairs
    beq     22f
21: embernet_dsp_two_columns r11
    embernet_dsp_two_columns r2
    embernet_dsp_finish_two
    subs    r8, r8, #0x10000
    bcs     21b
    ldr     r11, [sp, #.Lflags]
22: tst     r11, #.Lsingle
    beq     24f
    ldr     r2, [sp, #.Lsingles]
    pkhbt   r8, r8, r2
23: embernet_dsp_two_columns r2
    embernet_dsp_finish
    subs    r8, r8, #0x10000
    bcs     23b
24: tst     r11, #.Lbehind
    beq     12b
    embernet_dsp_column
    smlad   r9, r1, r5, r9
    smlabt  r9, r3, r7, r9
    b       11b
    .size embernet_dsp_depthwise, . - embernet_dsp_depthwise
