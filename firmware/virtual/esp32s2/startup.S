/*
 * Reset, exception vectors and the measured call, for the call0 ABI: arguments in a2 to a7, a0 return address,
 * a1 stack pointer, a12 to a15 kept by the called function.
 */
#define STACK_PATTERN 0xA5C3965A
#define LIMIT 3840000000        /* ticks, 1.5 billion instructions: the counter wraps round after 1.68 billion */
#define TIMER 0x40              /* interrupt 6, level 1: the counter has reached the register CCOMPARE0 */

/* Of the LX106's vectors at 0x40000000: debug, NMI, kernel, user and double exception. Without them a fault would
 * execute what lies there, for ever. */
    .section .vectors, "ax"
    .org 0x10
    j fault
    .org 0x20
    j fault
    .org 0x30
    j fault
    .org 0x50
    j fault
    .org 0x70
    j fault
    .org 0x80
    .literal_position
    .align 4
fault:
    movi a1, __stack_top        /* the old one may be what went wrong */
    rsr a2, exccause
    rsr a3, epc1
    rsr a4, excvaddr
    movi a0, board_fault
    jx a0

/* The emulated core starts at 0x50000000, whatever the file's entry is. */
    .section .reset, "ax"
    .global Reset_Handler
    .type Reset_Handler, @function
Reset_Handler:
    j 1f
    .literal_position
    .align 4
1:  movi a2, 0
    wsr a2, ps                  /* leave the state of an exception, so that the next one finds its own vector */
    rsync
    movi a1, __stack_top
    movi a0, board_start
    jx a0
    .size Reset_Handler, . - Reset_Handler

    .section .text.board_measure, "ax"
    .literal_position
    .align 4
    .global board_measure
    .type board_measure, @function
board_measure:
    addi a1, a1, -16
    s32i a0, a1, 0              /* an address, never the pattern: ends the search below */
    s32i a12, a1, 4
    s32i a13, a1, 8
    mov a12, a2
    mov a8, a3
    mov a2, a4
    mov a3, a5
    movi a4, __stack_limit
    movi a5, STACK_PATTERN
    beq a4, a1, 2f
1:  s32i a5, a4, 0
    addi a4, a4, 4
    bne a4, a1, 1b
2:  rsr a4, ccount
    movi a5, LIMIT
    add a4, a4, a5
    wsr a4, ccompare0
    movi a4, TIMER
    wsr a4, intenable
    rsync
    rsr a13, ccount
    callx0 a8
    .global board_measured
board_measured:
    rsr a3, ccount
    movi a4, 0
    wsr a4, intenable
    rsync
    sub a3, a3, a13
    s32i a3, a12, 0
    movi a4, __stack_limit
    movi a5, STACK_PATTERN
3:  l32i a6, a4, 0
    addi a4, a4, 4
    beq a6, a5, 3b
    addi a4, a4, -4
    sub a4, a1, a4
    s32i a4, a12, 4
    movi a4, __stack_top
    sub a4, a4, a1
    movi a5, board_report
    s32i a4, a5, 12             /* stack_bytes */
    l32i a0, a1, 0
    l32i a12, a1, 4
    l32i a13, a1, 8
    addi a1, a1, 16
    ret
    .size board_measure, . - board_measure

    .section .text.board_nothing, "ax"
    .align 4
    .global board_nothing
    .type board_nothing, @function
board_nothing:
    ret
    .size board_nothing, . - board_nothing
