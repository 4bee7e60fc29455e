package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// viewMetadata describes a view with two parameters, as SAP Gateway generates it from a CDS view: an entity set of the
// parameters, whose navigation property Set leads to the rows.
const viewMetadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"
 xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:sap="http://www.sap.com/Protocols/SAPData">
<edmx:DataServices m:DataServiceVersion="2.0"><Schema Namespace="Z" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">
<EntityType Name="ZC_XParameters" sap:semantics="parameters"><Key><PropertyRef Name="P_Date"/><PropertyRef Name="P_Count"/></Key>
<Property Name="P_Date" Type="Edm.DateTime" Nullable="false" sap:parameter="mandatory"/>
<Property Name="P_Count" Type="Edm.Int64" Nullable="false" sap:parameter="mandatory"/>
<NavigationProperty Name="Set" Relationship="Z.A" FromRole="Parameters" ToRole="Results"/></EntityType>
<EntityType Name="ZC_XType"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/>
<Property Name="Amount" Type="Edm.Decimal" Precision="9" Scale="2"/>
<NavigationProperty Name="Parameters" Relationship="Z.A" FromRole="Results" ToRole="Parameters"/></EntityType>
<Association Name="A"><End Type="Z.ZC_XParameters" Multiplicity="1" Role="Parameters"/><End Type="Z.ZC_XType"
 Multiplicity="*" Role="Results"/></Association>
<EntityContainer Name="C" m:IsDefaultEntityContainer="true"><EntitySet Name="ZC_X" EntityType="Z.ZC_XParameters"/>
<EntitySet Name="ZC_XSet" EntityType="Z.ZC_XType" sap:addressable="false"/>
<AssociationSet Name="AS" Association="Z.A"><End EntitySet="ZC_X" Role="Parameters"/><End EntitySet="ZC_XSet" Role="Results"/>
</AssociationSet></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`

// viewService returns a service with such a view and so many rows, in pages of 100 with links that contain a key.
func viewService(rows int) http.Handler {
	const path = "/V2/Northwind/Northwind.svc/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		switch r.URL.Path {
		case path + "$metadata":
			fmt.Fprint(w, viewMetadata)
			return
		case path + "ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Count=7L)/Set": // answered below
		default:
			http.Error(w, `{"error":{"code":"x","message":{"value":"no such path"}}}`, 404)
			return
		}
		after := 0
		nextLink := ""
		if token := query.Get("$skiptoken"); token != "" {
			after, _ = strconv.Atoi(token)
		}
		if _, last, ok := strings.Cut(query.Get("$filter"), "ID gt "); ok {
			after, _ = strconv.Atoi(last)
		}
		var rowList []string
		for id := after + 1; id <= rows && len(rowList) < 100; id++ {
			row := fmt.Sprintf(`{"__metadata":{"type":"Z.ZC_XType"},"ID":%d,"Amount":"%[1]d.50"}`, id)
			rowList = append(rowList, row)
		}
		if after+100 < rows {
			nextLink = fmt.Sprintf(`,"__next":"http://%s%s?$skiptoken=%d"`, r.Host, r.URL.EscapedPath(), after+100)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"d":{"results":[%s],"__count":"%d"%s}}`, strings.Join(rowList, ","), rows, nextLink)
	})
}

// A view with parameters is read like a set, in one page and page by page. Its offsets belong to these parameters, and
// its records have the key of its rows.
func TestViewWithParameters(t *testing.T) {
	const rows, name = 25_000, "ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Count=7)/Set"
	load := loadSet(t, viewService(rows), set("00", name)...)
	for i, row := range load.rows {
		require.True(t, row == fmt.Sprintf("[%d]", i+1), "row %d: found key %s", i, row)
	}
	assert.True(t, len(load.rows) == rows && len(load.targets) >= rows/100,
		"expected %d rows, found %d with %d requests", rows, len(load.rows), len(load.targets))
	f := load.opened.Feeds[0]
	assert.Equal(t, []wit.OffsetEntry{wit.StringEntry("service", "/V2/Northwind/Northwind.svc"),
		wit.StringEntry("entityset", name)}, f.Partition)
	assert.True(t, strings.Contains(f.Fingerprint, "ZC_X(P_Date=datetime'2024-01-31T00%3A00%3A00',P_Count=7L)/Set"),
		"expected the parameters in the fingerprint %s", f.Fingerprint)
}

// Commands that show a set's rows also show the rows of a view.
func TestPeekIntoAView(t *testing.T) {
	const name = "ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Count=7)/Set"
	l := newLoad(t, viewService(3), set("00", name)...)
	document, err := l.runCommand("peek", []wit.Setting{{Name: "s", Value: northwind}, {Name: "e", Value: name},
		{Name: "n", Value: "2"}})
	assert.True(t, err == nil && strings.Contains(document, `"rows":[{"ID":1,"Amount":1.50},{"ID":2,`),
		"expected two rows, found %s (%v)", document, err)
}

// Parameters are checked against the metadata.
func TestParametersOfAView(t *testing.T) {
	for name, want := range map[string]string{
		"ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set": "expected the parameters P_Date, P_Count, each once",
		"ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Cuont=7)/Set": "expected the parameters P_Date, P_Count, each " +
			"once",
		"ZC_X(P_Date='x',P_Count=7)/Set":                           "P_Date: expected a date such as 2024-01-31",
		"ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Count=x)/Set": "ZC_X(",
		"ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Count=7)": "expected a navigation property after the " +
			"parameters",
		"ZC_X(P_Date=datetime'2024-01-31T00:00:00',P_Count=7)/Sat":  "has no navigation property Sat",
		"ZC_XY(P_Date=datetime'2024-01-31T00:00:00',P_Count=7)/Set": "Entity set ZC_XY isn't in $metadata",
	} {
		err := newUnopened(t, viewService(1)).open(set("00", name)...)
		f, ok := err.(*wit.Error)
		assert.True(t, ok && f.Kind == wit.ErrorConfig && strings.Contains(f.Message, want) &&
			*f.Setting == "sap.odata#00.entityset", "%s: expected %q, found %v", name, want, err)
	}
}
