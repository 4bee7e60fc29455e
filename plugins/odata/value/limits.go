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
func ConvertChecked(property *edm.Property, node *wit.SchemaNode, value any) (Converted, error) {
	converted, err := Convert(property, node, value)
	if err != nil {
		if low, high, bounded := converted.Type.Bounds(); bounded && isNumber(value) && !IsTime(node) {
			bounds := " from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
			return converted, &ConversionError{converted.Type.String() + bounds, describe(value, node)}
		}
		return converted, err
	}
	switch converted.Type {
	case edm.String:
		if size := utf8.RuneCountInString(converted.Text); property.Length > 0 && size > property.Length {
			return converted, &ConversionError{"Edm.String of at most " + strconv.Itoa(property.Length) + " characters",
				strconv.Itoa(size) + " characters: " + describe(value, node)}
		}
	case edm.Binary:
		size := base64.StdEncoding.DecodedLen(len(converted.Text)) - strings.Count(converted.Text, "=")
		if property.Length > 0 && size > property.Length {
			return converted, &ConversionError{"Edm.Binary of at most " + strconv.Itoa(property.Length) + " bytes",
				strconv.Itoa(size) + " bytes"}
		}
	case edm.Decimal:
		if !fitsDecimal(converted.Text, property) {
			limits := "Edm.Decimal"
			if property.Precision > 0 {
				limits += " of at most " + strconv.Itoa(property.Precision) + " digits"
			}
			if property.Scale >= 0 && !property.VariableScale {
				limits += " with at most " + strconv.Itoa(property.Scale) + " of them after the point"
			}
			return converted, &ConversionError{limits, converted.Text}
		}
	}
	return converted, nil
}

func isNumber(value any) bool {
	switch value.(type) {
	case float32, float64, connectdata.Decimal:
		return true
	}
	_, ok := toInteger(value)
	return ok
}

// fitsDecimal reports whether a decimal has at most the digits of a property. Zeros at both ends do not count.
func fitsDecimal(text string, property *edm.Property) bool {
	integerPart, fractionPart, _ := strings.Cut(strings.TrimLeft(text, "+-"), ".")
	integerPart = strings.TrimLeft(integerPart, "0")
	fractionPart = strings.TrimRight(fractionPart, "0")
	hasScale := property.Scale >= 0 && !property.VariableScale
	if hasScale && len(fractionPart) > property.Scale {
		return false
	}
	if property.Precision <= 0 {
		return true
	}
	if hasScale {
		return len(integerPart) <= max(property.Precision-property.Scale, 0)
	}
	return len(integerPart)+len(fractionPart) <= property.Precision
}

// ConvertLossy is [Convert] for values that do not fit, which by default are rejected, because amounts and keys would
// change unnoticed (RATIONALE.md P21): integers lose their upper bits as in Java, digits after the scale are rounded
// half to even. Long texts stay as they are.
func ConvertLossy(property *edm.Property, node *wit.SchemaNode, value any) (Converted, error) {
	if _, _, bounded := property.Type.Primitive.Bounds(); bounded && !IsTime(node) {
		number, ok := toInteger(value)
		switch x := value.(type) { // drop the fraction
		case float32:
			number = int64(x)
			ok = isFinite(float64(x))
		case float64:
			number = int64(x)
			ok = isFinite(x)
		}
		if ok {
			node = nil
			switch property.Type.Primitive { // drop the upper bits that the type does not have
			case edm.SByte:
				value = int64(int8(number))
			case edm.Byte:
				value = int64(uint8(number))
			case edm.Int16:
				value = int64(int16(number))
			case edm.Int32:
				value = int64(int32(number))
			default:
				value = number
			}
		}
	}
	converted, err := Convert(property, node, value)
	if err == nil && converted.Type == edm.Decimal && property.Scale >= 0 && !property.VariableScale &&
		len(converted.Text) < maxScale {
		converted.Text = roundDecimal(converted.Text, property.Scale)
	}
	return converted, err
}

// roundDecimal rounds a decimal half to even. It returns invalid text unchanged.
func roundDecimal(text string, scale int) string {
	_, fractionPart, _ := strings.Cut(text, ".")
	if len(fractionPart) <= scale {
		return text
	}
	unscaled, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		return text
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(fractionPart)-scale)), nil)
	quotient, remainder := new(big.Int).QuoRem(unscaled, unit, new(big.Int))
	doubled := new(big.Int).Abs(remainder)
	doubled.Lsh(doubled, 1)
	if order := doubled.Cmp(unit); order > 0 || (order == 0 && quotient.Bit(0) == 1) {
		quotient.Add(quotient, big.NewInt(int64(unscaled.Sign())))
	}
	rounded, _ := insertPoint(quotient.String(), scale)
	return rounded
}
