package write

import (
	"errors"

	"github.com/culvert-project/culvert/wit"
)

// errorClass is the class under which refused rows stand in headers of dead letters.
const errorClass = "org.apache.kafka.connect.errors.DataException"

func refuse(text string) error { return &wit.Error{Kind: wit.ErrorData, Message: text} }

func unexpected(where, expected, found string) error {
	if where == "" {
		where = "the value"
	}
	return refuse(where + ": expected " + expected + ", found " + found)
}

func asFault(err error) *wit.Error {
	var f *wit.Error
	if errors.As(err, &f) {
		return f
	}
	return &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
}
