@ Convolutions and dense layers, int8. The order of the stream is in layout/mve.rs.
@
@ An outer loop over blocks of four filters, an inner one over pieces of 16 bytes of the patch. The first piece has
@ `first` bytes, 1 to 16; those beyond are not loaded and count as 0. The sums of VMLADAV live in even registers only,
@ of which there are eight: four filters times two pixels take them all, the link register too.
@
@ Behind a ReLU the least output is the zero point or more. There a half below zero may be rounded up instead of down:
@ it changes no output. `exact` is 0 for that, and saves three instructions a vector.

@ Sums in vectors become outputs: q5 holds the zero point, q6 and q7 the limits.
.macro embernet_mve_scale exact, vectors:vararg
    vldrw.u32 q2, [r1], #16             @ biases
    .irp q, \vectors
    vadd.i32 \q, \q, q2
    .endr
    vldrw.u32 q2, [r1], #16             @ multipliers
    .irp q, \vectors
    vqrdmulh.s32 \q, \q, q2
    .endr
    vldrw.u32 q2, [r1], #16             @ shifts, to the right
    cbz \exact, 9f
    .irp q, \vectors
    vand q3, \q, q2                     @ a negative number that is shifted: -1
    vshr.s32 q3, q3, #31
    vqadd.s32 \q, \q, q3
    .endr
9:
    .irp q, \vectors
    vrshl.s32 \q, \q, q2
    .endr
    .irp q, \vectors
    vadd.i32 \q, \q, q5
    vmax.s32 \q, \q, q6
    vmin.s32 \q, \q, q7
    .endr
.endm

@ fn(stream, x0, x1, filters, y0, y1, first, more, zero_point, lo, hi, exact): two pixels; `more` pieces follow the first.
    .section .text.embernet_mve_two, "ax", %progbits
    .global embernet_mve_two
    .type embernet_mve_two, %function
    .p2align 2
embernet_mve_two:
    push {r1-r11, lr}                   @ r1, r2: x0 and x1, at sp + 64; r3: filters, at sp + 72
    vpush {d8-d15}                      @ what follows lies from sp + 112 on
    mov r1, r0
    ldrd r9, r11, [sp, #120]            @ first, more
    ldrd r0, r2, [sp, #128]
    ldr r4, [sp, #136]
    vdup.32 q5, r0
    vdup.32 q6, r2
    vdup.32 q7, r4
1:  ldrd r3, r5, [sp, #64]
    vctp.8 r9
    vpstt
    vldrbt.u8 q0, [r3]
    vldrbt.u8 q1, [r5]
    vldrw.u32 q2, [r1], #16
    vmladav.s8 r0, q2, q0
    vmladav.s8 r2, q2, q1
    vldrw.u32 q3, [r1], #16
    vmladav.s8 r4, q3, q0
    vmladav.s8 r6, q3, q1
    vldrw.u32 q2, [r1], #16
    vmladav.s8 r8, q2, q0
    vmladav.s8 r10, q2, q1
    vldrw.u32 q3, [r1], #16
    vmladav.s8 r12, q3, q0
    vmladav.s8 lr, q3, q1
    subs r7, r11, #1
    bmi 3f
    add r3, r9
    add r5, r9
2:  vldrb.u8 q0, [r3], #16
    vldrw.u32 q2, [r1], #16
    vmladava.s8 r0, q2, q0
    vldrb.u8 q1, [r5], #16
    vmladava.s8 r2, q2, q1
    vldrw.u32 q3, [r1], #16
    vmladava.s8 r4, q3, q0
    vmladava.s8 r6, q3, q1
    vldrw.u32 q2, [r1], #16
    vmladava.s8 r8, q2, q0
    vmladava.s8 r10, q2, q1
    vldrw.u32 q3, [r1], #16
    vmladava.s8 r12, q3, q0
    vmladava.s8 lr, q3, q1
    subs r7, #1
    bpl 2b
3:  vmov q0[2], q0[0], r0, r8
    vmov q0[3], q0[1], r4, r12
    vmov q1[2], q1[0], r2, r10
    vmov q1[3], q1[1], r6, lr
    ldr r4, [sp, #140]
    embernet_mve_scale r4, q0, q1
    ldr r4, [sp, #72]
    ldrd r0, r2, [sp, #112]
    vctp.32 r4
    vpstt
    vstrbt.32 q0, [r0], #4
    vstrbt.32 q1, [r2], #4
    strd r0, r2, [sp, #112]
    subs r4, #4
    str r4, [sp, #72]
    bgt 1b
    vpop {d8-d15}
    add sp, #12
    pop {r4-r11, pc}
    .size embernet_mve_two, . - embernet_mve_two

@ fn(stream, x, y, filters, first, more, zero_point, lo, hi, exact): one pixel.
    .section .text.embernet_mve_one, "ax", %progbits
    .global embernet_mve_one
    .type embernet_mve_one, %function
    .p2align 2
embernet_mve_one:
    push {r4-r10, lr}
    vpush {d8-d15}                      @ what follows lies from sp + 96 on
    mov r8, r1
    mov r1, r0
    ldrd r9, r10, [sp, #96]             @ first, more
    ldrd r5, r6, [sp, #104]
    ldr r7, [sp, #112]
    vdup.32 q5, r5
    vdup.32 q6, r6
    vdup.32 q7, r7
    ldr r7, [sp, #116]
1:  vctp.8 r9
    vpst
    vldrbt.u8 q0, [r8]
    vldrw.u32 q2, [r1], #16
    vmladav.s8 r0, q2, q0
    vldrw.u32 q3, [r1], #16
    vmladav.s8 r4, q3, q0
    vldrw.u32 q2, [r1], #16
    vmladav.s8 r6, q2, q0
    vldrw.u32 q3, [r1], #16
    vmladav.s8 r12, q3, q0
    add r5, r8, r9
    wls lr, r10, 3f
2:  vldrb.u8 q0, [r5], #16
    vldrw.u32 q2, [r1], #16
    vmladava.s8 r0, q2, q0
    vldrw.u32 q3, [r1], #16
    vmladava.s8 r4, q3, q0
    vldrw.u32 q2, [r1], #16
    vmladava.s8 r6, q2, q0
    vldrw.u32 q3, [r1], #16
    vmladava.s8 r12, q3, q0
    le lr, 2b
3:  vmov q0[2], q0[0], r0, r6
    vmov q0[3], q0[1], r4, r12
    embernet_mve_scale r7, q0
    vctp.32 r3
    vpst
    vstrbt.32 q0, [r2], #4
    subs r3, #4
    bgt 1b
    vpop {d8-d15}
    pop {r4-r10, pc}
    .size embernet_mve_one, . - embernet_mve_one

.purgem embernet_mve_scale
