//go:build real

package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// TestRealOlingo4Values compares the values of recorded pages with those that Apache Olingo 5's client reads from them.
func TestRealOlingo4Values(t *testing.T) {
	const products = "Products"
	for _, service := range []struct {
		name  string
		pages [][]string // file, entity set, and paths to expand
	}{
		{name: "cap", pages: [][]string{{"AllTypes-ieee754", "AllTypes"}, {"Orders-etag", "Orders"},
			{"Orders-expand", "Orders", "Items", "Items/Schedule"}, {"Products-count", products},
			{"Products-page", products}, {"Requests-active", "Requests", "Lines"}, {"Requests-drafts", "Requests"},
			{"Values-numbers", "Values"}}},
		{name: "olingo", pages: [][]string{{"Items-contained", "Items"}, {"Products-count", products},
			{"Products-expand", products, "Items", "Items/Product"}, {"Products-full", products},
			{"Products-numbers", products}, {"Products-page", products}, {"Products-tracked", products}}},
	} {
		samples, err := filepath.Abs(filepath.Join(testdata, "samples", "json4"))
		require.NoError(t, err)
		metadata := filepath.Join(samples, service.name+"_metadata.xml")
		var requests strings.Builder
		for _, page := range service.pages {
			fmt.Fprintf(&requests, "0 typed %s\n", filepath.Join(samples, service.name+"_"+page[0]+".json"))
		}
		client := exec.Command(testdata+"/peers/olingo4/tool.sh", testdata+"/peers/olingo4/client/Values.java", metadata)
		client.Stdin = strings.NewReader(requests.String())
		client.Stderr = os.Stderr
		printed, err := client.Output()
		require.NoError(t, err)
		responses := strings.Split(string(printed), "\n.\n")
		require.Len(t, len(service.pages)+1, responses, "pages that Olingo reads", string(printed))
		document, err := os.ReadFile(metadata)
		require.NoError(t, err)
		model, err := edm.Parse(document, edm.V4)
		require.NoError(t, err)
		for i, page := range service.pages {
			name := service.name + "_" + page[0]
			doc, err := os.ReadFile(filepath.Join(samples, name+".json"))
			require.NoError(t, err)
			want := olingoValues(t, responses[i])
			got := decodedValues(t, model, page[1], page[2:], doc)
			require.True(t, len(want) > 5, "%s: expected values, found %v", name, want)
			for path := range maps.Keys(want) {
				assert.Equal(t, want[path], got[path], name, path)
				delete(got, path)
			}
			for path, value := range got {
				isLength := strings.HasSuffix(path, "@length") // Values.java prints no lengths of expanded collections
				assert.True(t, value == "null" || isLength, "%s: expected null, because Olingo reads no %s, found %s", name,
					path, value)
			}
		}
	}
}

// olingoValues returns the values that testdata/peers/olingo4/client/Values.java printed, by their paths.
func olingoValues(t *testing.T, printed string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, line := range strings.Split(strings.TrimPrefix(printed, "\n"), "\n") {
		words := strings.SplitN(line, "\t", 3)
		require.Len(t, 3, words, "path, type and value of", line)
		path := words[0]
		typ := words[1]
		if strings.HasSuffix(path, "/Total") {
			typ = "Edm.Decimal" // Olingo reads a type definition as text
		}
		if !strings.Contains(path, "@") || strings.HasSuffix(path, "@length") {
			values[path] = olingoValue(t, typ, words[2])
		}
	}
	return values
}

func olingoValue(t *testing.T, typ, text string) string {
	t.Helper()
	moment := func(layout string) time.Time {
		parsed, err := time.Parse(layout, text)
		require.NoError(t, err)
		return parsed
	}
	switch typ {
	case "Edm.String":
		return strconv.Quote(strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(text))
	case "Edm.Date":
		return strconv.FormatInt(moment(time.DateOnly).Unix()/86_400, 10)
	case "Edm.TimeOfDay":
		if len(text) == len("15:04") { // Java leaves out seconds that are zero
			text += ":00"
		}
		timeOfDay := moment(time.TimeOnly)
		return strconv.FormatInt(timeOfDay.Sub(timeOfDay.Truncate(24*time.Hour)).Milliseconds(), 10)
	case "Edm.DateTimeOffset":
		return strconv.FormatInt(moment(time.RFC3339Nano).UnixMicro(), 10)
	case "Edm.Decimal":
		number, ok := new(big.Rat).SetString(text)
		require.True(t, ok, "expected a decimal, found %s", text)
		return number.RatString()
	case "Edm.Double":
		number, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		return fmt.Sprint(number)
	case "Edm.Single":
		number, err := strconv.ParseFloat(text, 32)
		require.NoError(t, err)
		return fmt.Sprint(float32(number))
	case "Edm.Binary":
		content, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return hex.EncodeToString(content)
	case "Edm.Guid", "Edm.Duration":
		return strconv.Quote(text)
	case "": // null, or a length
		return text
	}
	if strings.HasPrefix(typ, "Edm.") {
		return text // integers and booleans
	}
	return strconv.Quote(text) // members of an enumeration
}

// decodedValues returns the values of a page's rows by their paths, as Olingo's are.
func decodedValues(t *testing.T, model *edm.Model, set string, expand []string, doc []byte) map[string]string {
	t.Helper()
	view := &edm.View{}
	for i := range model.Sets {
		if model.Sets[i].Name == set {
			view.Structure = model.Structure(model.Sets[i].Type)
		}
	}
	for _, path := range expand {
		parent := view
		names := strings.Split(path, "/")
		for range names[1:] {
			parent = parent.Expanded[0].View
		}
		navigation := parent.Structure.Navigation(names[len(names)-1])
		parent.Expanded = append(parent.Expanded, edm.Expansion{Name: navigation.Name, Many: navigation.Many,
			View: &edm.View{Structure: model.Structure(navigation.Target)}})
	}
	options := edm.Options{ScaleFallback: 20, Micros: true}
	nodes, err := model.ViewSchema(view, options)
	require.NoError(t, err)
	schema, err := NewRowSchema(model, view, options)
	require.NoError(t, err)
	out, err := decodePieces(NewJSON4(schema, JSON4Options{}), doc, cuts{size: len(doc)}, nil)
	require.True(t, err == nil && len(out.RowErrors) == 0, "expected rows, found %v, %v", err, out.RowErrors)
	values := map[string]string{}
	for i, row := range out.Rows {
		data := out.Data[row.Value.Start : row.Value.Start+row.Value.Size]
		value, size, err := connectdata.Read(nodes, 0, data)
		require.True(t, err == nil && size == len(data), "expected a value of %d bytes, found %d, %v", len(data), size,
			err)
		addValues(values, strconv.Itoa(i), nodes, 0, value)
	}
	return values
}

// addValues adds a value of a node, and the values in it.
func addValues(values map[string]string, path string, nodes []wit.SchemaNode, node uint32, value any) {
	name := ""
	if nodes[node].Name != nil {
		name = *nodes[node].Name
	}
	switch v := value.(type) {
	case nil:
		values[path] = "null"
	case connectdata.Struct:
		for i, field := range nodes[node].Fields {
			addValues(values, path+"/"+field.Name, nodes, field.Node, v[i])
		}
	case connectdata.List:
		values[path+"@length"] = strconv.Itoa(len(v))
		for i, item := range v {
			addValues(values, path+"/"+strconv.Itoa(i), nodes, nodes[node].Element, item)
		}
	case []byte:
		values[path] = hex.EncodeToString(v)
		if name == wit.NameDecimal {
			scale := 0
			for _, parameter := range nodes[node].Parameters {
				if parameter.Name == "scale" {
					scale, _ = strconv.Atoi(parameter.Value)
				}
			}
			unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
			values[path] = new(big.Rat).SetFrac(connectdata.Unscaled(bytes.Clone(v)), unit).RatString()
		}
	case string:
		values[path] = strconv.Quote(v)
	default:
		values[path] = fmt.Sprint(v)
	}
}
