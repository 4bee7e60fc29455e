package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// allBodies is a service with every primitive type, nested types, and properties that some requests leave out.
const allBodies = `<Schema Namespace="S" xmlns:sap="http://www.sap.com/Protocols/SAPData" ` +
	`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
<EntityType Name="All"><Key><PropertyRef Name="ID"/><PropertyRef Name="No"/></Key>
<Property Name="ID" Type="Edm.String" Nullable="false" MaxLength="12"/><Property Name="No" Type="Edm.Int32" Nullable="false"/>
<Property Name="Text" Type="Edm.String" m:FC_TargetPath="SyndicationTitle" m:FC_KeepInContent="true"/>
<Property Name="Short" Type="Edm.String" MaxLength="5"/><Property Name="Must" Type="Edm.String" Nullable="false"/>
<Property Name="Set" Type="Edm.String" sap:creatable="false"/><Property Name="Fixed" Type="Edm.Int16" sap:updatable="false"/>
<Property Name="Flag" Type="Edm.Boolean"/><Property Name="Tiny" Type="Edm.SByte"/><Property Name="Octet" Type="Edm.Byte"/>
<Property Name="Long" Type="Edm.Int64"/><Property Name="Wide" Type="Edm.Double"/><Property Name="Narrow" Type="Edm.Single"/>
<Property Name="Amount" Type="Edm.Decimal" Precision="9" Scale="3"/><Property Name="Exact" Type="Edm.Decimal"/>
<Property Name="Moment" Type="Edm.DateTime" m:FC_TargetPath="SyndicationUpdated" m:FC_KeepInContent="true"/>
<Property Name="Zoned" Type="Edm.DateTimeOffset"/><Property Name="Clock" Type="Edm.Time"/>
<Property Name="Guid" Type="Edm.Guid"/><Property Name="Raw" Type="Edm.Binary"/><Property Name="Odd&quot;" Type="Edm.String"/>
<Property Name="Place" Type="S.Place"/>
<NavigationProperty Name="Items" Relationship="S.R" FromRole="o" ToRole="i"/><NavigationProperty Name="Buyer" Relationship="S.B" FromRole="o" ToRole="b"/></EntityType>
<EntityType Name="Item"><Key><PropertyRef Name="Pos"/></Key><Property Name="Pos" Type="Edm.Int32" Nullable="false"/><Property Name="Text" Type="Edm.String"/></EntityType>
<ComplexType Name="Place"><Property Name="City" Type="Edm.String"/><Property Name="Spot" Type="S.Spot"/></ComplexType>
<ComplexType Name="Spot"><Property Name="X" Type="Edm.Double"/></ComplexType>
<Association Name="R"><End Role="o" Type="S.All" Multiplicity="1"/><End Role="i" Type="S.Item" Multiplicity="*"/></Association>
<Association Name="B"><End Role="o" Type="S.All" Multiplicity="*"/><End Role="b" Type="S.Item" Multiplicity="0..1"/></Association>
<EntityContainer Name="C"><EntitySet Name="Alls" EntityType="S.All"/><EntitySet Name="Items" EntityType="S.Item"/>
<AssociationSet Name="RS" Association="S.R"><End Role="o" EntitySet="Alls"/><End Role="i" EntitySet="Items"/></AssociationSet>
<AssociationSet Name="BS" Association="S.B"><End Role="o" EntitySet="Alls"/><End Role="b" EntitySet="Items"/></AssociationSet>
</EntityContainer></Schema>`

// Deliveries and rejections of generated rows are the same to the byte in every version: all kinds of values with and
// without a schema, nulls, escapes, values out of range, nested content. A digest covers the targets, headers, bodies
// and states of 2,000 rows.
func TestBytesOfDeliveriesAreStable(t *testing.T) {
	for i, test := range []struct{ settings, digest string }{
		{"", "78285dcbb3d67c91"},
		{"request.format=atom", "2c082cd0d18010d8"},
		{"operation.mode=merge", "91032b85123db01c"},
		{"operation.mode=update request.format=atom key.from=record", "e6bd315d361dac63"},
		{"operation.mode=upsert changesets=all nested.updates=operations", "71d813d5461b30d8"},
		{"insert.uncertain=repeatable unknown.fields=ignore", "62fb52304f1f566e"},
		{"request.format=atom enable.batch=0 lossy=allow", "c4e61d78da9c6fbe"},
	} {
		settings := set("00", "Alls")
		for _, setting := range strings.Fields(test.settings) {
			settings = append(settings, "sap.odata."+setting)
		}
		run := open(t, metadataService(allBodies), settings...)
		random := rowGenerator{Rand: rand.New(rand.NewPCG(54, uint64(i))),
			hasKeys:   strings.Contains(test.settings, "key.from"),
			hasNested: !strings.Contains(test.settings, "mode") || strings.Contains(test.settings, "nested")}
		hash := sha256.New()
		accepted := 0
		for range 100 {
			rows := random.rows(run, 20)
			ids := make([]wit.RecordID, len(rows))
			out, err := run.callEncode("Alls", rows, ids, nil)
			require.NoError(t, err)
			for _, delivery := range out.Ready {
				accepted += len(delivery.Rows)
				request := delivery.Request
				fmt.Fprintf(hash, "%s %s %v %q %v %q %d %t\n", request.Method, request.Target, request.Headers,
					request.Body, delivery.Rows, delivery.State, delivery.OrderingKey, request.Repeatable)
			}
			for _, rejected := range out.Rejected {
				fmt.Fprintf(hash, "%d %s\n", rejected.RowIndex, rejected.Error.Message)
			}
			run.schemas = nil
			run.data = nil
		}
		found := hex.EncodeToString(hash.Sum(nil)[:8])
		assert.True(t, found == test.digest && accepted >= 800 && accepted <= 1900,
			"%q: expected the digest %s and 800 to 1900 accepted rows, found %s and %d", test.settings, test.digest,
			found, accepted)
	}
}

// rowGenerator creates rows of the service allBodies. Most of them are valid.
type rowGenerator struct {
	*rand.Rand
	hasKeys   bool // records have keys
	hasNested bool // values have nested entities
}

// rows returns rows of one schema, or without schema.
func (g rowGenerator) rows(run *harness, count int) (rows []wit.Row) {
	columns := g.columns()
	hasSchema := g.IntN(3) > 0
	nodes := nodesOf()
	for _, column := range columns {
		node := uint32(len(nodes))
		nodes[0].Fields = append(nodes[0].Fields, wit.Field{Name: column.name, Node: node})
		for _, n := range column.nodes {
			for i := range n.Fields {
				n.Fields[i].Node += node
			}
			if n.Kind == wit.Array {
				n.Element += node
			}
			nodes = append(nodes, n)
		}
	}
	for i := range count {
		var values connectdata.Struct
		var entries connectdata.Map
		for _, column := range columns {
			value := column.value()
			if column.nodes[0].Optional && g.IntN(5) == 0 {
				value = nil
			}
			values = append(values, value)
			if g.IntN(10) > 0 {
				entries = append(entries, connectdata.Entry{Key: column.name, Value: asMap(column.nodes, value)})
			}
		}
		row := wit.Row{RowIndex: uint32(i), Offset: int64(i), Timestamp: 1_700_000_000_000}
		if g.hasKeys {
			row.Key = run.schemaless(fields("ID", g.text(), "No", int32(i)))
		}
		if hasSchema {
			row.Value = run.withSchema(nodes, values)
		} else {
			row.Value = run.schemaless(entries)
		}
		rows = append(rows, row)
	}
	return rows
}

// asMap returns a value with maps instead of structs.
func asMap(nodes []wit.SchemaNode, value any) any {
	switch value := value.(type) {
	case connectdata.List:
		items := connectdata.List{}
		for _, item := range value {
			items = append(items, asMap(nodes[1:], item))
		}
		return items
	case connectdata.Struct:
		entries := connectdata.Map{}
		for i, field := range value {
			entries = append(entries, connectdata.Entry{Key: nodes[0].Fields[i].Name, Value: field})
		}
		return entries
	case *big.Int:
		return connectdata.Decimal{Scale: 2, Unscaled: value}
	}
	return value
}

// generatedColumn is a column with the nodes of its schema, numbered from 0.
type generatedColumn struct {
	name  string
	nodes []wit.SchemaNode
	value func() any
}

func (g rowGenerator) columns() (columns []generatedColumn) {
	scalar := func(name string, kind wit.Kind, logical string, value func() any) {
		nodes := []wit.SchemaNode{{Kind: kind, Optional: g.IntN(4) > 0}}
		if logical != "" {
			nodes[0].Name = &logical
		}
		if logical == wit.NameDecimal {
			scale := []string{"2", "0", "3", "5"}[g.IntN(4)]
			nodes[0].Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: scale}}
		}
		columns = append(columns, generatedColumn{name, nodes, value})
	}
	integer := func(name string, bits int) {
		kind := wit.Int8 + wit.Kind(g.IntN(4))
		scalar(name, kind, "", func() any {
			n := min(bits+g.IntN(60)/59, 8<<(kind-wit.Int8)) // one bit too much, sometimes
			return integerOf(kind, g.Int64()>>(64-n))
		})
	}
	text := func(name string) { scalar(name, wit.String, "", func() any { return g.text() }) }
	instant := func(name string) {
		logical := []string{wit.NameTimestamp, "", "io.debezium.time.NanoTimestamp"}[g.IntN(7)/3]
		scalar(name, wit.Int64, logical, func() any { return g.Int64N(3e12) - 1e12 })
	}
	decimal := func(name string) {
		if g.IntN(4) == 0 {
			scalar(name, wit.String, "", func() any { return fmt.Sprintf("%.2f", g.NormFloat64()*100) })
			return
		}
		scalar(name, wit.Bytes, wit.NameDecimal, func() any {
			return big.NewInt(g.Int64() >> (40 + g.IntN(24)))
		})
	}
	text("ID")
	integer("No", 31)
	for _, add := range []func(){
		func() { text("Text") }, func() { text("Short") }, func() { text("Must") }, func() { text("Set") },
		func() { text(`Odd"`) }, func() { integer("Fixed", 16) }, func() { integer("Tiny", 8) },
		func() { scalar("Octet", wit.Int16, "", func() any { return int16(g.IntN(257)) }) },
		func() { integer("Long", 64) }, func() { decimal("Amount") }, func() { decimal("Exact") },
		func() { instant("Moment") }, func() { instant("Zoned") },
		func() { scalar("Flag", wit.Boolean, "", func() any { return g.IntN(2) == 0 }) },
		func() { scalar("Wide", wit.Float64, "", func() any { return g.float() }) },
		func() { scalar("Narrow", wit.Float32, "", func() any { return float32(g.float()) }) },
		func() {
			scalar("Clock", wit.String, "", func() any { return fmt.Sprintf("PT%dM%dS", g.IntN(60), g.IntN(60)) })
		},
		func() {
			scalar("Guid", wit.String, "", func() any {
				return fmt.Sprintf("%08x-0000-4000-8000-%012X", g.Uint32(), g.Int64()>>16)
			})
		},
		func() { scalar("Raw", wit.Bytes, "", func() any { return []byte(g.text()) }) },
		func() { columns = append(columns, g.place()) },
		func() {
			if g.hasNested {
				columns = append(columns, g.items(), g.item("Buyer"))
			}
		},
		func() {
			if g.IntN(8) == 0 {
				text("Unknown")
			}
		},
	} {
		if g.IntN(4) > 0 {
			add()
		}
	}
	g.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
	return columns
}

func (g rowGenerator) place() generatedColumn {
	nodes := nodesOf(column{name: "City", kind: wit.String, optional: true})
	nodes[0].Optional = true
	return generatedColumn{"Place", nodes, func() any { return connectdata.Struct{g.text()} }}
}

func (g rowGenerator) item(name string) generatedColumn {
	nodes := nodesOf(column{name: "Pos", kind: wit.Int32}, column{name: "Text", kind: wit.String})
	nodes[0].Optional = true
	return generatedColumn{name, nodes, func() any { return connectdata.Struct{g.Int32(), g.text()} }}
}

func (g rowGenerator) items() generatedColumn {
	item := g.item("Items")
	for i := range item.nodes[0].Fields {
		item.nodes[0].Fields[i].Node++
	}
	item.nodes[0].Optional = false
	nodes := append([]wit.SchemaNode{{Kind: wit.Array, Optional: true, Element: 1}}, item.nodes...)
	return generatedColumn{"Items", nodes, func() any {
		list := connectdata.List{}
		for range g.IntN(3) {
			list = append(list, item.value())
		}
		return list
	}}
}

func (g rowGenerator) text() string {
	alphabet := strings.Split("aZ0_ é€😀\"\\/<&>'\n\r\t", "")
	if g.IntN(40) == 0 {
		alphabet = append(alphabet, "\x01", "\ufffe")
	}
	var b strings.Builder
	for range g.IntN(7) {
		b.WriteString(alphabet[g.IntN(len(alphabet))])
	}
	return b.String()
}

func (g rowGenerator) float() float64 {
	return []float64{g.NormFloat64(), math.Inf(1), math.Float64frombits(g.Uint64()), 0, 1e30}[g.IntN(9)/2]
}

func integerOf(kind wit.Kind, n int64) any {
	switch kind {
	case wit.Int8:
		return int8(n)
	case wit.Int16:
		return int16(n)
	case wit.Int32:
		return int32(n)
	}
	return n
}
