package value

import (
	"encoding/base64"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// ConvertChecked is [Convert] with a check of the property's facets: numbers out of range, long texts and decimals with
// too many digits return a *[ConversionError] that names the limit.
func ConvertChecked(p *edm.Property, n *wit.SchemaNode, v any) (Converted, error) {
	c, err := Convert(p, n, v)
	if err != nil {
		if least, most, bounded := c.Type.Bounds(); bounded && numeric(v) && !IsTime(n) {
			return c, &ConversionError{c.Type.String() + " from " + strconv.FormatInt(least, 10) + " to " +
				strconv.FormatInt(most, 10), describe(v, n)}
		}
		return c, err
	}
	switch c.Type {
	case edm.String:
		if size := utf8.RuneCountInString(c.Text); p.Length > 0 && size > p.Length {
			return c, &ConversionError{"Edm.String of at most " + strconv.Itoa(p.Length) + " characters",
				strconv.Itoa(size) + " characters: " + describe(v, n)}
		}
	case edm.Binary:
		if size := base64.StdEncoding.DecodedLen(len(c.Text)) - strings.Count(c.Text, "="); p.Length > 0 &&
			size > p.Length {
			return c, &ConversionError{"Edm.Binary of at most " + strconv.Itoa(p.Length) + " bytes",
				strconv.Itoa(size) + " bytes"}
		}
	case edm.Decimal:
		if !fits(c.Text, p) {
			return c, &ConversionError{decimalLimits(p), c.Text}
		}
	}
	return c, nil
}

func numeric(v any) bool {
	switch v.(type) {
	case float32, float64, connectdata.Decimal:
		return true
	}
	_, ok := toInteger(v)
	return ok
}

func decimalLimits(p *edm.Property) string {
	text := "Edm.Decimal"
	if p.Precision > 0 {
		text += " of at most " + strconv.Itoa(p.Precision) + " digits"
	}
	if p.Scale >= 0 && !p.VariableScale {
		text += " with at most " + strconv.Itoa(p.Scale) + " of them after the point"
	}
	return text
}

func fits(text string, p *edm.Property) bool {
	before, after, _ := strings.Cut(strings.TrimLeft(text, "+-"), ".")
	before, after = strings.TrimLeft(before, "0"), strings.TrimRight(after, "0")
	scaled := p.Scale >= 0 && !p.VariableScale
	if scaled && len(after) > p.Scale {
		return false
	}
	if p.Precision <= 0 {
		return true
	}
	if scaled {
		return len(before) <= max(p.Precision-p.Scale, 0)
	}
	return len(before)+len(after) <= p.Precision
}

// ConvertLossy is [Convert] for values that do not fit (P21): integers lose their upper bits as in Java, digits after
// the scale are rounded half to even. Long texts stay as they are.
func ConvertLossy(p *edm.Property, n *wit.SchemaNode, v any) (Converted, error) {
	if _, _, bounded := p.Type.Primitive.Bounds(); bounded && !IsTime(n) {
		if i, ok := truncateToInteger(v); ok {
			v, n = wrapInteger(p.Type.Primitive, i), nil
		}
	}
	c, err := Convert(p, n, v)
	if err == nil && c.Type == edm.Decimal && p.Scale >= 0 && !p.VariableScale && len(c.Text) < maxScale {
		c.Text = roundDecimal(c.Text, p.Scale)
	}
	return c, err
}

func truncateToInteger(v any) (int64, bool) {
	switch x := v.(type) {
	case float32:
		return int64(x), finite(float64(x))
	case float64:
		return int64(x), finite(x)
	}
	return toInteger(v)
}

func wrapInteger(t edm.Primitive, i int64) int64 {
	switch t {
	case edm.SByte:
		return int64(int8(i))
	case edm.Byte:
		return int64(uint8(i))
	case edm.Int16:
		return int64(int16(i))
	case edm.Int32:
		return int64(int32(i))
	}
	return i
}

func roundDecimal(text string, scale int) string {
	_, after, _ := strings.Cut(text, ".")
	if len(after) <= scale {
		return text
	}
	unscaled, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		return text
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(after)-scale)), nil)
	quotient, rest := new(big.Int).QuoRem(unscaled, unit, new(big.Int))
	twice := new(big.Int).Abs(rest)
	twice.Lsh(twice, 1)
	if order := twice.Cmp(unit); order > 0 || order == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(int64(unscaled.Sign())))
	}
	out, _ := insertPoint(quotient.String(), scale)
	return out
}
