/*
 * Clock of the STM32L4R9: MSI 4 MHz x 60 / 2 = 120 MHz through the PLL.
 *
 * Registers and bits: reference manual RM0432 (STM32L4+); its sections are named by title, because their numbers change
 * between revisions. Register addresses, bit positions and the factors of the PLL agree with ST's CMSIS device header
 * and with the clock set-up of ST's examples for this chip. Not yet run on a real board.
 */
#include "system.h"

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define PWR_CR1 REGISTER(0x40007000u)
#define PWR_CR1_VOS_MASK (3u << 9)
#define PWR_CR1_VOS_RANGE_1 (1u << 9)
#define PWR_SR2 REGISTER(0x40007014u)
#define PWR_SR2_VOSF (1u << 10)
#define PWR_CR5 REGISTER(0x40007080u)
#define PWR_CR5_R1MODE (1u << 8) /* 1: range 1 normal, up to 80 MHz; 0: range 1 boost, up to 120 MHz */

#define RCC_CR REGISTER(0x40021000u)
#define RCC_CR_MSION (1u << 0)
#define RCC_CR_MSIRDY (1u << 1)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR REGISTER(0x40021008u)
#define RCC_CFGR_SW_MASK (3u << 0)
#define RCC_CFGR_SW_PLL (3u << 0)
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (3u << 2)
#define RCC_CFGR_HPRE_MASK (15u << 4)
#define RCC_CFGR_HPRE_DIV2 (8u << 4)
#define RCC_PLLCFGR REGISTER(0x4002100Cu)
#define RCC_PLLCFGR_PLLSRC_MSI (1u << 0)
#define RCC_PLLCFGR_PLLM(divider) (((divider) - 1u) << 4)
#define RCC_PLLCFGR_PLLN(factor) ((factor) << 8)
#define RCC_PLLCFGR_PLLR(divider) (((divider) / 2u - 1u) << 25)
#define RCC_PLLCFGR_PLLREN (1u << 24)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB1ENR1_PWREN (1u << 28)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK (15u << 0)
#define FLASH_ACR_LATENCY(wait_states) ((wait_states) << 0)
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

#define WAIT_STATES_120MHZ 5u /* RM0432 "Read access latency", VCORE range 1 boost: up to 120 MHz */

/* One microsecond must pass at half the clock before the AHB prescaler is taken back: 60 cycles at 60 MHz, and each
 * turn of the loop takes at least three. */
#define SETTLE_TURNS 40u

void system_clock_120mhz(void)
{
    volatile uint32_t turns;

    /* The power controller's registers need its bus clock; the read-back is the delay that "Peripheral clock
     * enable register" asks for. */
    RCC_APB1ENR1 |= RCC_APB1ENR1_PWREN;
    (void)RCC_APB1ENR1;

    /* "Dynamic voltage scaling management", from range 1 normal (the state after reset) to range 1 boost: first divide
     * the AHB clock by 2. */
    PWR_CR1 = (PWR_CR1 & ~PWR_CR1_VOS_MASK) | PWR_CR1_VOS_RANGE_1;
    while ((PWR_SR2 & PWR_SR2_VOSF) != 0u) {
    }
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_HPRE_MASK) | RCC_CFGR_HPRE_DIV2;
    PWR_CR5 &= ~PWR_CR5_R1MODE;

    /* "Read access latency": raise the wait states before the clock, and read them back before relying on them. */
    FLASH_ACR = (FLASH_ACR & ~FLASH_ACR_LATENCY_MASK) | FLASH_ACR_LATENCY(WAIT_STATES_120MHZ) | FLASH_ACR_PRFTEN |
                FLASH_ACR_ICEN | FLASH_ACR_DCEN;
    while ((FLASH_ACR & FLASH_ACR_LATENCY_MASK) != FLASH_ACR_LATENCY(WAIT_STATES_120MHZ)) {
    }

    /* RCC_CR, RCC_PLLCFGR. MSI runs at 4 MHz after reset: 4 MHz / 1 x 60 = 240 MHz (VCO), / 2 = 120 MHz. */
    RCC_CR |= RCC_CR_MSION;
    while ((RCC_CR & RCC_CR_MSIRDY) == 0u) {
    }
    RCC_CR &= ~RCC_CR_PLLON;
    while ((RCC_CR & RCC_CR_PLLRDY) != 0u) {
    }
    RCC_PLLCFGR = RCC_PLLCFGR_PLLSRC_MSI | RCC_PLLCFGR_PLLM(1u) | RCC_PLLCFGR_PLLN(60u) | RCC_PLLCFGR_PLLR(2u) |
                  RCC_PLLCFGR_PLLREN;
    RCC_CR |= RCC_CR_PLLON;
    while ((RCC_CR & RCC_CR_PLLRDY) == 0u) {
    }

    /* RCC_CFGR: switch, wait until the switch is done, then take the division back. */
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW_MASK) | RCC_CFGR_SW_PLL;
    while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL) {
    }
    for (turns = 0u; turns < SETTLE_TURNS; turns++) {
    }
    RCC_CFGR &= ~RCC_CFGR_HPRE_MASK;
}
