package decode

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// A second reader of values, slow and simple, that uses math/big, regexp and time. It shares only Column with the real
// one: if both agree, the same mistake would have to be in both.

var errConversion = errors.New("conversion error")

func refBlock(b []byte) []byte { return append(binary.AppendVarint(nil, int64(len(b))), b...) }

var refBounds = map[edm.Primitive][2]string{edm.Byte: {"0", "255"}, edm.SByte: {"-128", "127"},
	edm.Int16: {"-32768", "32767"}, edm.Int32: {"-2147483648", "2147483647"},
	edm.Int64: {"-9223372036854775808", "9223372036854775807"}}

var (
	refInteger = regexp.MustCompile(`^[-+]?[0-9]+$`)
	refReal    = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)
	refTicks   = regexp.MustCompile(`^/Date\((-?[0-9]+)(?:([-+])([0-9]{1,4}))?\)/$`)
	refISO     = regexp.MustCompile(
		`^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2})(:[0-9]{2})?([.,][0-9]+)?(Z|z|[-+][0-9]{2}(?::?[0-9]{2})?)?)?$`)
	refDuration = regexp.MustCompile(`^P(?:0+Y)?(?:0+M)?(?:0+D)?T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)([.,][0-9]+)?S)?$`)
	refGUID     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func refPrimitive(column *Column, s string) ([]byte, error) {
	switch column.Type {
	case edm.String:
		return refBlock([]byte(s)), nil
	case edm.Guid:
		if !refGUID.MatchString(s) {
			return nil, errConversion
		}
		return refBlock([]byte(s)), nil
	case edm.Binary:
		s = strings.NewReplacer("-", "+", "_", "/", " ", "", "\n", "", "\t", "", "\r", "").Replace(s)
		s = strings.TrimRight(s, "=")
		b, err := base64.RawStdEncoding.DecodeString(s)
		return refBlock(b), err
	case edm.Boolean:
		if s != "true" && s != "false" && s != "1" && s != "0" {
			return nil, errConversion
		}
		if s == "true" || s == "1" {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	case edm.Decimal:
		return refDecimal(column, s)
	case edm.Double, edm.Single:
		return refFloat(column, s)
	case edm.DateTime, edm.DateTimeOffset:
		return refInstant(column, s)
	case edm.Time:
		return refClock(s)
	case edm.Date, edm.TimeOfDay, edm.Duration, edm.Enum, edm.Geo:
		return refPrimitive4(column, s)
	}
	n, ok := new(big.Int).SetString(s, 10)
	low, _ := new(big.Int).SetString(refBounds[column.Type][0], 10)
	high, _ := new(big.Int).SetString(refBounds[column.Type][1], 10)
	if !ok || !refInteger.MatchString(s) || n.Cmp(low) < 0 || n.Cmp(high) > 0 {
		return nil, errConversion
	}
	return binary.AppendVarint(nil, n.Int64()), nil
}

func refDecimal(column *Column, s string) ([]byte, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok || !refReal.MatchString(s) {
		return nil, errConversion
	}
	if column.Mapping == Float64Mapping {
		f, _ := r.Float64()
		if s[0] == '-' {
			f = math.Copysign(f, -1) // of zero
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), nil
	}
	scale := int64(column.Scale)
	if column.Mapping == Int64Mapping {
		scale = 0
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil)))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !r.IsInt() {
		if column.Rounding != edm.RoundHalfEven {
			return nil, errConversion
		}
		rest := new(big.Rat).Sub(r, new(big.Rat).SetInt(n))
		rest.Abs(rest)
		half := rest.Cmp(big.NewRat(1, 2))
		if half > 0 || (half == 0 && n.Bit(0) == 1) {
			n.Add(n, big.NewInt(int64(r.Sign())))
		}
	}
	if column.Precision > 0 && len(new(big.Int).Abs(n).String()) > column.Precision && n.Sign() != 0 {
		return nil, errConversion
	}
	if column.Mapping == Int64Mapping {
		if !n.IsInt64() {
			return nil, errConversion
		}
		return binary.AppendVarint(nil, n.Int64()), nil
	}
	// the shortest two's complement: the smallest size whose range contains n
	for size := 1; ; size++ {
		limit := new(big.Int).Lsh(big.NewInt(1), uint(8*size-1))
		if n.Cmp(limit) < 0 && n.Cmp(new(big.Int).Neg(limit)) >= 0 {
			m := new(big.Int).Set(n)
			if m.Sign() < 0 {
				m.Add(m, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
			}
			return refBlock(m.FillBytes(make([]byte, size))), nil
		}
	}
}

func refFloat(c *Column, s string) ([]byte, error) {
	special := map[string]float64{"INF": math.Inf(1), "+INF": math.Inf(1), "Infinity": math.Inf(1),
		"-INF": math.Inf(-1), "-Infinity": math.Inf(-1), "NaN": math.NaN()}
	bits := 64
	if c.Type == edm.Single {
		bits = 32
	}
	f, ok := special[s]
	if !ok {
		if !refReal.MatchString(s) {
			return nil, errConversion
		}
		var err error
		if f, err = strconv.ParseFloat(s, bits); err != nil {
			return nil, err
		}
	}
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f))), nil
	}
	return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), nil
}

func refInstant(column *Column, s string) ([]byte, error) {
	var wall, utc time.Time
	if m := refTicks.FindStringSubmatch(s); m != nil {
		ms, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return nil, err
		}
		offset, _ := strconv.Atoi(m[2] + m[3])
		wall = time.UnixMilli(ms).UTC()
		first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
		switch julian := first.AddDate(0, 0, -2); {
		case !wall.Before(julian) && wall.Before(first):
			wall = wall.AddDate(0, 0, 2)
		case wall.Equal(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)):
			wall = wall.Add(-time.Millisecond)
		}
		utc = wall.Add(-time.Duration(offset) * time.Minute)
	} else {
		m := refISO.FindStringSubmatch(s)
		if m == nil || (m[3] == "" && m[4] != "") {
			return nil, errConversion
		}
		text := m[1] + "T" + cmp.Or(m[2], "00:00") + cmp.Or(m[3], ":00")
		var err error
		if wall, err = time.Parse("2006-01-02T15:04:05", text); err != nil {
			return nil, err
		}
		if m[4] != "" {
			digits := (m[4][1:] + "000000")[:6]
			micros, _ := strconv.Atoi(digits)
			wall = wall.Add(time.Duration(micros) * time.Microsecond)
		}
		utc = wall
		if zone := strings.ReplaceAll(m[5], ":", ""); len(zone) > 1 {
			h, _ := strconv.Atoi(zone[1:3])
			minutes, _ := strconv.Atoi(cmp.Or(zone[3:], "0"))
			if h > 23 || minutes > 59 {
				return nil, errConversion
			}
			shift := time.Duration(h)*time.Hour + time.Duration(minutes)*time.Minute
			if zone[0] == '+' {
				shift = -shift
			}
			utc = wall.Add(shift)
		}
	}
	if wall.Year() < 1 || wall.Year() > 9999 {
		return nil, errConversion
	}
	if column.Mapping == DateMapping {
		day := time.Date(wall.Year(), wall.Month(), wall.Day(), 0, 0, 0, 0, time.UTC)
		return binary.AppendVarint(nil, day.Unix()/86400), nil
	}
	if column.Mapping == MicrosMapping {
		return binary.AppendVarint(nil, utc.UnixMicro()), nil
	}
	return binary.AppendVarint(nil, utc.UnixMilli()), nil
}

func refClock(s string) ([]byte, error) {
	m := refDuration.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "T") {
		return nil, errConversion
	}
	total := new(big.Rat)
	for i, seconds := range []int64{3600, 60, 1} {
		text := m[i+1]
		if i == 2 && m[4] != "" {
			text += "." + m[4][1:]
		}
		if text != "" {
			v, _ := new(big.Rat).SetString(text)
			total.Add(total, v.Mul(v, big.NewRat(seconds*1000, 1)))
		}
	}
	ms := new(big.Int).Quo(total.Num(), total.Denom())
	if ms.Cmp(big.NewInt(86_400_000)) >= 0 {
		return nil, errConversion
	}
	return binary.AppendVarint(nil, ms.Int64()), nil
}
