package write

import (
	"encoding/base64"
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// structure is a type made ready for look-ups by name.
type structure struct {
	*edm.Structure
	properties  map[string]*edm.Property
	navigations map[string]*edm.Navigation
	// inner are the types of complex properties and navigation properties.
	inner map[string]*structure
}

// convert makes a property's value, as the settings want it where it has no room.
func (m *manner) convert(property *edm.Property, n *wit.Node, v any) (value.Converted, error) {
	if m.lossy {
		return value.ConvertLossy(property, n, v)
	}
	c, err := value.ConvertWithin(property, n, v)
	if err != nil && v == nil {
		if misfit := (*value.MisfitError)(nil); errors.As(err, &misfit) {
			err = &value.MisfitError{Expected: misfit.Expected, Found: "null"}
		}
	}
	if err != nil && n == nil && property.Type.Primitive == edm.Decimal {
		err = hinted(err, v)
	}
	return c, err
}

// hinted adds to a refusal what may have made the value: converters to JSON write the bytes of decimals unless they are
// set up in another way, and without schema their scale is lost.
func hinted(err error, v any) error {
	text, ok := v.(string)
	if !ok {
		return err
	}
	if b, bad := base64.StdEncoding.DecodeString(text); bad != nil || len(b) == 0 {
		return err
	}
	return errors.New(err.Error() + ", which may be the bytes of a decimal in Base64, whose scale is lost without a " +
		"schema: let what writes the topic write numbers (value.converter.decimal.format = NUMERIC)")
}
