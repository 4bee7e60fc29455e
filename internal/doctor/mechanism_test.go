package doctor

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// An unknown mechanism is recognized by Kafka's error code, whatever the text of the error.
func TestUnknownMechanismNamesItsSetting(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w; the broker offers [PLAIN]", kerr.UnsupportedSaslMechanism), "sasl.mechanism"},
		{errors.New("a text with UNSUPPORTED_SASL_MECHANISM in it"), "sasl.jaas.config"},
	} {
		var m *hintError
		if err := explainProtocol(c.err, "sasl.jaas.config"); !errors.As(err, &m) || m.setting != c.want {
			t.Errorf("%v: expected %s, found %v", c.err, c.want, err)
		}
	}
}
