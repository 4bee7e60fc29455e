package guest

// Places of rows and data in the results of the hot calls, and the results' sizes, in bytes; a test compares them with
// canon. A verdict that is "written" is all zeros, and so is the rest of a result that has nothing but such.
const (
	PortionRows, PortionData = 12, 20
	PortionSize              = 64
	AppliedRows, AppliedData = 20, 28
	AppliedConsumed          = 44
	AppliedSize              = 52
	SettledVerdicts          = 4
	SettledSize              = 52
)
