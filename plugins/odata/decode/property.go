package decode

import (
	"bytes"
	"math"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// property is a property with what the decoder of the format needs to know about it.
type property struct {
	kernel.Property
	column     *Column // nil for a property that is no column
	name       []byte  // in the table
	lastPrefix []byte  // the last text that differed from Prefix
	lastNull   []byte  // the last text that differed from Null
}

func propertyOf(p *kernel.Property) *property { return (*property)(unsafe.Pointer(p)) }

func (p *property) reset(kind int) {
	p.Kind = kind
	p.Prefix = kernel.NoPattern
	p.Null = kernel.NoPattern
	p.Suffix = kernel.NoPattern
	p.Empty = 0
}

// configure sets what package kernel needs to read the column's values, and returns their kind.
func (p *property) configure(markup int) (kind int) {
	column := p.column
	if column.Optional {
		p.Optional = 1
	}
	if column.Kind != Primitive {
		return kernel.GoValue
	}
	switch column.Type {
	case edm.String:
		return kernel.JSONString + markup
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		low, high, _ := column.Type.Bounds()
		p.Low = int(low)
		p.High = int(high)
		return kernel.Integer
	case edm.Time:
		return kernel.TimeOfDay
	case edm.Decimal:
		return p.configureDecimal()
	case edm.Double:
		return kernel.Double
	case edm.Boolean:
		return kernel.Boolean
	case edm.DateTime, edm.DateTimeOffset:
		if column.Mapping == DefaultMapping && column.Zone == nil {
			p.Low = datetime.FirstMs
			p.High = datetime.LastMs
			return kernel.DateTime
		}
	case edm.Date:
		p.Low = 1 // above High: see package kernel
		return kernel.DateTime
	case edm.Guid:
		return kernel.GUID
	}
	return kernel.GoValue
}

// configureDecimal is configure for a Decimal.
func (p *property) configureDecimal() (kind int) {
	column := p.column
	limit := uint64(1 << 63)
	if column.Precision > 0 && column.Precision < 19 { // 10^19 does not fit an int64
		limit = 1
		for range column.Precision {
			limit *= 10
		}
	}
	switch {
	case column.Mapping == Float64Mapping:
		return kernel.Double
	case column.Mapping == Int64Mapping:
		p.High = int(limit - 1)
		p.Low = -p.High
		if limit == 1<<63 {
			p.Low = math.MinInt64
		}
		return kernel.Integer
	case column.Scale >= 0 && column.Scale <= 18:
		p.Scale = column.Scale
		p.Limit = limit
		return kernel.Decimal
	}
	return kernel.GoValue
}

// guess sets the pattern that package kernel expects before the property's value, or as its null, to a text that occurs
// for the second time in a row. last is the text of the first time. It reports whether the pattern changed.
func guess(pattern *kernel.Pattern, last *[]byte, text []byte) bool {
	if len(text) > kernel.PatternSize || pattern.HasText(text) {
		return false
	}
	if !bytes.Equal(*last, text) {
		*last = append((*last)[:0], text...)
		return false
	}
	*pattern = kernel.NewPattern(text)
	return true
}
