package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// UnmarshalJSON is [json.Unmarshal] for documents that may contain passwords, see [JSONError].
func UnmarshalJSON(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%w at byte %d", JSONError(err), syntax.Offset)
	}
	return JSONError(err)
}

// JSONError returns an error of encoding/json without quotations of the document: a value, or a letter of a password
// without quotation marks. It keeps names of unknown members, and returns errors of other packages unchanged.
func JSONError(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		if strings.HasPrefix(syntax.Error(), "invalid character") {
			return errors.New("unexpected character")
		}
	case errors.As(err, &mismatch):
		kind, _, _ := strings.Cut(mismatch.Value, " ") // it may be `number 4711`
		message := fmt.Sprintf("expected %s, found %s", mismatch.Type, kind)
		if mismatch.Field != "" {
			message = mismatch.Field + ": " + message
		}
		return errors.New(message)
	case strings.HasPrefix(err.Error(), "json: ") && !strings.HasPrefix(err.Error(), "json: unknown field "):
		return errors.New("the value cannot be decoded")
	}
	return err
}
