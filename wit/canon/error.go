package canon

import (
	"reflect"
	"strconv"
)

// hex is a number that is written in base 16, as addresses are.
type hex uint32

// newError makes an error of texts, numbers and errors, one after the other. Package fmt does as much and is a tenth of
// a small guest's size.
func newError(parts ...any) error {
	var text []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			text = append(text, p...)
		case error:
			text = append(text, p.Error()...)
		case reflect.Type:
			text = append(text, p.String()...)
		case int:
			text = strconv.AppendInt(text, int64(p), 10)
		case uint32:
			text = strconv.AppendUint(text, uint64(p), 10)
		case uint64:
			text = strconv.AppendUint(text, p, 10)
		case hex:
			text = strconv.AppendUint(append(text, "0x"...), uint64(p), 16)
		}
	}
	return &Error{string(text)}
}

// Error says what broke the canonical ABI, and where in a value.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }
