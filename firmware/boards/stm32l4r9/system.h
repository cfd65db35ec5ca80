#ifndef SYSTEM_H
#define SYSTEM_H

/* Run the core at 120 MHz from the PLL, with the flash caches on. To be called once, after reset. */
void system_clock_120mhz(void);

#endif
