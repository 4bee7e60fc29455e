package decode

import (
	"os"
	"path/filepath"
	"testing"
)

const fuzzSchema4 = `
ID Edm.Int32 key
Str Edm.String?
Dec Edm.Decimal?(15,3) half_even
Off Edm.DateTimeOffset?
I64 Edm.Int64?
Day Edm.Date?
Clock Edm.TimeOfDay?
Dur Edm.Duration?
Flags Edm.Enum? flags=New,Sale
Geo Edm.Geography?
Tags list {
  item Edm.String?
}
Address complex? {
  Street Edm.String?
  Zip Edm.Double
}
Items many inline {
  Pos Edm.Int32
  Sub one? inline {
    N Edm.Boolean?
  }
  Parts list {
    item complex {
      A Edm.Guid?
    }
  }
}
`

// The decoder of OData v4 never panics, the result does not depend on how the document is cut, and the raw row of an
// error is a document with the same error.
func FuzzJSON4(f *testing.F) {
	files, _ := filepath.Glob(goldenJSON4)
	for _, file := range files {
		doc := []byte(readGolden(f, file).doc)
		f.Add(doc, uint16(len(doc)/2))
		f.Add(doc, uint16(len(doc)/2+1))
	}
	files, _ = filepath.Glob(filepath.Join(testdata, "samples", "json4", "*.json"))
	for _, file := range files {
		if doc, _ := os.ReadFile(file); len(doc) < 4096 {
			f.Add(doc, uint16(100))
		}
	}
	f.Add([]byte(`{"value":[{"ID":1,"Items@nextLink":"n","Items":[{"Pos":1,"Sub":null,"Parts":[{}]}],"Tags":[null]}]}`),
		uint16(9))
	f.Fuzz(func(t *testing.T, doc []byte, cut uint16) {
		checkCuts(t, fuzzSchema4, doc, cut, func(schema *RowSchema) Decoder {
			return NewJSON4(schema, JSON4Options{Exact: cut%3 == 0, Partial: cut%2 == 0})
		})
	})
}
