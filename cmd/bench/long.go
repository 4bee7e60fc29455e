package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// longPage is how many rows a page of a long feed has.
const longPage = 1000

// long is feeds of many pages: full ones, and then the same rows as changes by a delta link. What the worker holds must
// not grow with them.
func long(ctx context.Context, b *bench) error {
	broker, err := b.broker(ctx, "broker-long")
	if err != nil {
		return err
	}
	defer broker.stop()
	fmt.Printf("a set in delta mode, JSON, pages of %d rows of ten fields: loaded, then all of it changed; the "+
		"worker's own CPU beyond that of a page, and its peak of memory; medians of %d rounds\n", longPage, b.rounds)
	fmt.Println("pages    full: s CPU   µs/row   peak MiB   delta: s CPU   µs/row   peak MiB   full rate to delta rate")
	var least [2]float64
	for _, pages := range []int{1, 100, 1000} {
		var cpu, peak [2][]float64
		for round := range b.rounds {
			found, err := b.longOnce(ctx, fmt.Sprintf("long-%d-%d", pages, round), broker.address, pages)
			if err != nil {
				return err
			}
			for n, u := range found {
				cpu[n], peak[n] = append(cpu[n], u.cpu.Seconds()), append(peak[n], u.peak)
			}
		}
		rows := float64(pages * longPage)
		full, delta := median(cpu[0]), median(cpu[1])
		if pages == 1 {
			least = [2]float64{full, delta}
			fmt.Printf("%5d  %12.2f  %7s  %9.0f  %13.2f  %7s  %9.0f\n", pages, full, "", median(peak[0]), delta, "",
				median(peak[1]))
			continue
		}
		perRow := [2]float64{(full - least[0]) / rows * 1e6, (delta - least[1]) / rows * 1e6}
		fmt.Printf("%5d  %12.2f  %7.2f  %9.0f  %13.2f  %7.2f  %9.0f  %24.2f\n", pages, full, perRow[0], median(peak[0]),
			delta, perRow[1], median(peak[1]),
			perRow[0]/perRow[1])
	}
	fmt.Println("the last column is how many delta rows are read in the time of one of a full page (aim: at least 0.8)")
	return nil
}

// longOnce loads a set and then its changes.
func (b *bench) longOnce(ctx context.Context, name, broker string, pages int) (found [2]used, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return found, err
	}
	server := &http.Server{Handler: longService(pages)}
	defer server.Close()
	go func() { _ = server.Serve(listener) }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	worker, connector, err := b.configuration(name, broker, port, set{"Orders", "json", 0})
	if err != nil {
		return found, err
	}
	text, err := os.ReadFile(connector)
	if err != nil {
		return found, err
	}
	text = append(bytes.ReplaceAll(text, []byte("sap.odata.page.size=2000000\n"), nil),
		"sap.odata#00.track-changes=1\nsap.odata#00.exec-period=3600\n"...)
	if err := os.WriteFile(filepath.Clean(connector), text, 0o644); err != nil {
		return found, err
	}
	for n := range found {
		var log string
		if found[n], log, err = b.worker(ctx, b.culvert, "worker", worker, connector); err != nil {
			return found, err
		}
		if want := "rows=" + strconv.Itoa(pages*longPage); !strings.Contains(log, want) {
			return found, fmt.Errorf("expected %s, found %s", want, log)
		}
	}
	return found, nil
}

// longService answers a set of orders, and by its delta link all of them as changes.
func longService(pages int) http.Handler {
	const properties = `<Property Name="OrderID" Type="Edm.Int32" Nullable="false"/><Property Name="CustomerID" Type="Edm.String"/><Property Name="EmployeeID" Type="Edm.Int32"/>` +
		`<Property Name="OrderDate" Type="Edm.DateTime"/><Property Name="ShipVia" Type="Edm.Int32"/><Property Name="Freight" Type="Edm.Decimal" Precision="19" Scale="4"/>` +
		`<Property Name="ShipName" Type="Edm.String"/><Property Name="ShipCity" Type="Edm.String"/><Property Name="ShipPostalCode" Type="Edm.String"/><Property Name="ShipCountry" Type="Edm.String"/>`
	const metadata = `<?xml version="1.0"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices m:DataServiceVersion="2.0" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">` +
		`<EntityType Name="Order"><Key><PropertyRef Name="OrderID"/></Key>` + properties +
		`</EntityType><EntityContainer Name="C" m:IsDefaultEntityContainer="true"><EntitySet Name="Orders" EntityType="N.Order"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DataServiceVersion", "2.0")
		if strings.HasSuffix(r.URL.Path, "/$metadata") {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(metadata))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, "/Orders") {
			_, _ = w.Write([]byte(`{"d":{"EntitySets":["Orders"]}}`))
			return
		}
		query := r.URL.Query()
		page, _ := strconv.Atoi(query.Get("page"))
		since := query.Get("since") // of pages behind the first one
		if token := strings.Trim(query.Get("!deltatoken"), "'"); token != "" {
			since = token
		}
		root := "http://" + r.Host + strings.TrimSuffix(r.URL.Path, "Orders")
		body := bytes.NewBufferString(`{"d":{"results":[`)
		if since != "2" {
			for n := range longPage {
				if n > 0 {
					body.WriteByte(',')
				}
				id := page*longPage + n
				fmt.Fprintf(body,
					`{"__metadata":{"uri":"%sOrders(%d)","type":"N.Order"},"OrderID":%d,"CustomerID":"ALFKI","EmployeeID":%d,"OrderDate":"\/Date(836438400000)\/","ShipVia":3,"Freight":"%d.3800","ShipName":"Vins et alcools Chevalier","ShipCity":"Reims","ShipPostalCode":"%05d","ShipCountry":"France"}`,
					root, id, id, n%9, n, n)
			}
		}
		switch {
		case since == "2":
			fmt.Fprintf(body, `],"__delta":"%sOrders?!deltatoken='2'"}}`, root)
		case page+1 < pages:
			fmt.Fprintf(body, `],"__next":"%sOrders?page=%d&since=%s"}}`, root, page+1, since)
		default:
			token := "1"
			if since == "1" {
				token = "2"
			}
			fmt.Fprintf(body, `],"__delta":"%sOrders?!deltatoken='%s'"}}`, root, token)
		}
		_, _ = w.Write(body.Bytes())
	})
}
