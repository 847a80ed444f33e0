@ A depthwise 3x3 convolution on a core with 32-bit multiply-accumulate and without DSP extension (Cortex-M3): see
@ layout/words/band.rs for what the numbers mean.
@
@ In: r0 = its Arguments. One channel at a time: its nine weights stay in r5-r12 and lr.
    .syntax unified
    .thumb
    .section .text.embernet_thumb2_band, "ax", %progbits
    .global embernet_thumb2_band
    .type embernet_thumb2_band, %function
    .thumb_func

    @ An output; equal behind the row's last one.
    .macro embernet_thumb2_band_output clipped
    ldrb r2, [r0]
    ldrb r3, [r0, #4]
    mul r4, r2, r5
    mla r4, r3, r6, r4
    ldrb r2, [r0, #8]
    add r0, r0, r1
    mla r4, r2, r7, r4
    ldrb r2, [r0]
    ldrb r3, [r0, #4]
    mla r4, r2, r8, r4
    mla r4, r3, r9, r4
    ldrb r2, [r0, #8]
    add r0, r0, r1
    mla r4, r2, r10, r4
    ldrb r2, [r0]
    ldrb r3, [r0, #4]
    mla r4, r2, r11, r4
    mla r4, r3, r12, r4
    ldrb r2, [r0, #8]
    mla r4, r2, lr, r4
    ldrd r2, r3, [sp]
    add r4, r2, r4, lsl #2
    smull r2, r4, r4, r3
    .ifeq \clipped
    adds r4, r4, #1
    it mi
    submi r4, r4, #2
    .endif
    ldrd r2, r3, [sp, #8]
    add r4, r4, r2
    asrs r4, r4, r3
    ldrd r2, r3, [sp, #16]
    ssat r4, #8, r4
    strb r4, [r2]
    add r2, r2, r3
    str r2, [sp, #16]
    ldrd r2, r3, [sp, #24]
    add r0, r0, r2
    cmp r0, r3
    .endm

embernet_thumb2_band:
    push {r4-r11, lr}
    sub sp, sp, #52
    str r0, [sp, #32]
    ldr r1, [r0, #20]
    str r1, [sp, #20]
    ldr r1, [r0, #16]
    str r1, [sp, #24]
    movs r1, #4
    str r1, [sp, #36]
1:  @ A channel.
    ldr r4, [sp, #32]
    ldrd r0, r1, [r4]
    ldm r1!, {r5, r6, r7, r8}
    stm sp, {r5, r6, r7, r8}
    adds r2, r0, #1
    add r3, r1, #12
    strd r2, r3, [r4]
    ldrsb r5, [r1]
    ldrsb r6, [r1, #1]
    ldrsb r7, [r1, #2]
    ldrsb r8, [r1, #3]
    ldrsb r9, [r1, #4]
    ldrsb r10, [r1, #5]
    ldrsb r11, [r1, #6]
    ldrsb r12, [r1, #7]
    ldrsb lr, [r1, #8]
    ldr r1, [r4, #8]
    adds r2, r1, #1
    str r2, [r4, #8]
    ldr r2, [r4, #28]
    str r2, [sp, #40]
2:  @ A row.
    strd r0, r1, [sp, #44]
    str r1, [sp, #16]
    ldr r2, [r4, #24]
    ldr r1, [r4, #12]
    add r2, r2, r0
    str r2, [sp, #28]
    ldr r2, [sp, #12]
    cmp r2, #0
    blt 4f
3:  embernet_thumb2_band_output 0
    bne 3b
    b 5f
4:  embernet_thumb2_band_output 1
    bne 4b
5:
    ldr r4, [sp, #32]
    ldrd r0, r1, [sp, #44]
    ldrd r2, r3, [r4, #32]
    add r0, r0, r2
    add r1, r1, r3
    ldr r2, [sp, #40]
    subs r2, r2, #1
    str r2, [sp, #40]
    bne.w 2b
    ldr r2, [sp, #36]
    subs r2, r2, #1
    str r2, [sp, #36]
    bne.w 1b
    add sp, sp, #52
    pop {r4-r11, pc}
    .size embernet_thumb2_band, . - embernet_thumb2_band
