/* danelaw: nothing but its version until the first command is there. */
#include <stdio.h>

int main(void)
{
	puts("danelaw 0.1");
	return 0;
}
