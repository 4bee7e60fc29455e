package doctor

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// An unknown mechanism is recognized by Kafka's error code, whatever the text of the error.
func TestUnknownMechanismNamesItsSetting(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string // the setting
	}{
		{err: fmt.Errorf("%w; the broker offers [PLAIN]", kerr.UnsupportedSaslMechanism), want: "sasl.mechanism"},
		{err: errors.New("a text with UNSUPPORTED_SASL_MECHANISM in it"), want: "sasl.jaas.config"},
	} {
		var hint *hintError
		if err := explainProtocol(test.err, "sasl.jaas.config"); !errors.As(err, &hint) || hint.setting != test.want {
			t.Errorf("%v: expected %s, found %v", test.err, test.want, err)
		}
	}
}
