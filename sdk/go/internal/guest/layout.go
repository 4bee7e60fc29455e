package guest

// Places of rows and data in the results of the hot calls, and the results' sizes, in bytes; a test compares them with
// canon.
const (
	PortionRows, PortionData = 12, 20
	PortionSize              = 64
	AppliedRows, AppliedData = 20, 28
	AppliedConsumed          = 44
	AppliedSize              = 52
)
