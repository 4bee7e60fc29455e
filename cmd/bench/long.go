package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// longPage is how many rows a page of a long feed has.
const longPage = 1000

// long is feeds of many pages: full ones, and then the same rows as changes by a delta link. What the worker holds must
// not grow with them. Where next links count rows the first load is read a second time, by key.
func long(ctx context.Context, b *bench) error {
	broker, err := b.broker(ctx, "broker-long")
	if err != nil {
		return err
	}
	defer broker.stop()
	fmt.Printf("a set in delta mode, JSON, pages of %d rows of ten fields: loaded, then all of it changed; the "+
		"worker's own CPU beyond that of a page, and its peak of memory; medians of %d rounds\n", longPage, b.rounds)
	fmt.Println("pages  next links    full: s CPU   µs/row   peak MiB   delta: s CPU   µs/row   peak MiB   " +
		"full rate to delta rate")
	var least [2]float64
	for _, load := range []longLoad{{1, false}, {b.some(100), false}, {b.some(100), true}, {b.some(1000), false}} {
		var cpu, peak [2][]float64
		for round := range b.rounds {
			name := fmt.Sprintf("long-%d-%s-%d", load.pages, load.links(), round)
			found, err := b.longOnce(ctx, name, broker.address, load)
			if err != nil {
				return err
			}
			for n, u := range found {
				cpu[n], peak[n] = append(cpu[n], u.cpu.Seconds()), append(peak[n], u.peak)
			}
		}
		rows := float64(load.pages * longPage)
		full, delta := median(cpu[0]), median(cpu[1])
		if load.pages == 1 {
			least = [2]float64{full, delta}
			fmt.Printf("%5d  %-10s %12.2f  %7s  %9.0f  %13.2f  %7s  %9.0f\n", load.pages, load.links(), full, "",
				median(peak[0]), delta, "", median(peak[1]))
			continue
		}
		perRow := [2]float64{(full - least[0]) / rows * 1e6, (delta - least[1]) / rows * 1e6}
		fmt.Printf("%5d  %-10s %12.2f  %7.2f  %9.0f  %13.2f  %7.2f  %9.0f  %24.2f\n", load.pages, load.links(), full,
			perRow[0], median(peak[0]), delta, perRow[1], median(peak[1]), perRow[0]/perRow[1])
	}
	fmt.Println("the last column is how many delta rows are read in the time of one of a full page (aim: at least " +
		"0.8); where links count rows the load reads the set a second time, by key")
	return nil
}

// longLoad is a set of so many pages, whose next links name the last key, or count rows.
type longLoad struct {
	pages    int
	counting bool
}

func (l longLoad) links() string {
	if l.counting {
		return "count"
	}
	return "key"
}

// rows is how many rows the first load brings: all of them twice where links count rows.
func (l longLoad) rows() int {
	if l.counting {
		return 2 * l.pages * longPage
	}
	return l.pages * longPage
}

// longOnce loads a set and then its changes.
func (b *bench) longOnce(ctx context.Context, name, broker string, load longLoad) (found [2]used, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return found, err
	}
	service := &longService{rows: load.pages * longPage, counting: load.counting}
	server := &http.Server{Handler: service}
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
	for n, rows := range [2]int{load.rows(), load.pages * longPage} {
		var log string
		if found[n], log, err = b.worker(ctx, b.culvert, "worker", worker, connector); err != nil {
			return found, err
		}
		if want := " rows=" + strconv.Itoa(rows) + " "; !strings.Contains(log, want) {
			return found, fmt.Errorf("expected %s, found %s", want, log)
		}
		service.changed.Store(true)
	}
	return found, nil
}

// longMetadata and longRow are what longService says of its orders.
const (
	longMetadata = `<?xml version="1.0"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices m:DataServiceVersion="2.0" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">` +
		`<EntityType Name="Order"><Key><PropertyRef Name="OrderID"/></Key>` +
		`<Property Name="OrderID" Type="Edm.Int32" Nullable="false"/><Property Name="CustomerID" Type="Edm.String"/><Property Name="EmployeeID" Type="Edm.Int32"/>` +
		`<Property Name="OrderDate" Type="Edm.DateTime"/><Property Name="ShipVia" Type="Edm.Int32"/><Property Name="Freight" Type="Edm.Decimal" Precision="19" Scale="4"/>` +
		`<Property Name="ShipName" Type="Edm.String"/><Property Name="ShipCity" Type="Edm.String"/><Property Name="ShipPostalCode" Type="Edm.String"/><Property Name="ShipCountry" Type="Edm.String"/>` +
		`</EntityType><EntityContainer Name="C" m:IsDefaultEntityContainer="true"><EntitySet Name="Orders" EntityType="N.Order"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
	longRow = `{"__metadata":{"uri":"%sOrders(%d)","type":"N.Order"},"OrderID":%d,"CustomerID":"ALFKI","EmployeeID":%d,"OrderDate":"\/Date(836438400000)\/","ShipVia":3,"Freight":"%d.3800","ShipName":"Vins et alcools Chevalier","ShipCity":"Reims","ShipPostalCode":"%05d","ShipCountry":"France"}`
)

// longService is a set of orders with keys from 0 up, in pages, which filters and sorts by the key, and
// counts. Once changed is set its delta link leads to all of them as changes.
type longService struct {
	rows     int
	counting bool // next links have the number of rows in front of the next page, not the last key
	changed  atomic.Bool
}

func (s *longService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("DataServiceVersion", "2.0")
	if strings.HasSuffix(r.URL.Path, "/$metadata") {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write([]byte(longMetadata))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !strings.HasSuffix(r.URL.Path, "/Orders") {
		_, _ = w.Write([]byte(`{"d":{"EntitySets":["Orders"]}}`))
		return
	}
	root := "http://" + r.Host + strings.TrimSuffix(r.URL.Path, "Orders")
	query := r.URL.Query()
	first, to, step := s.chosen(query)
	from := first
	if last, err := strconv.Atoi(query.Get("$skiptoken")); err == nil && s.counting {
		from += last * step
	} else if err == nil {
		from = last + step
	}
	page := min(max((to-from)*step, 0), longPage)
	body := bytes.NewBufferString(`{"d":{`)
	if query.Get("$inlinecount") == "allpages" {
		fmt.Fprintf(body, `"__count":"%d",`, (to-from)*step)
	}
	body.WriteString(`"results":[`)
	for n := range page {
		if n > 0 {
			body.WriteByte(',')
		}
		id := from + n*step
		fmt.Fprintf(body, longRow, root, id, id, id%9, id%1000, id%100_000)
	}
	body.WriteByte(']')
	switch tracked := strings.Contains(r.Header.Get("Prefer"), "odata.track-changes"); {
	case from+page*step != to:
		token := from + (page-1)*step
		if s.counting {
			token = (token-first)*step + 1
		}
		query.Set("$skiptoken", strconv.Itoa(token))
		fmt.Fprintf(body, `,"__next":"%sOrders?%s"`, root, query.Encode())
	case tracked && s.changed.Load():
		fmt.Fprintf(body, `,"__delta":"%sOrders?!deltatoken='2'"`, root)
	case tracked:
		fmt.Fprintf(body, `,"__delta":"%sOrders?!deltatoken='1'"`, root)
	}
	body.WriteString("}}")
	_, _ = w.Write(body.Bytes())
}

// chosen are the keys that a query asks for: from the first one, in steps of 1 or -1, up to and without the last one.
func (s *longService) chosen(query url.Values) (from, to, step int) {
	low, high := 0, s.rows
	if token := strings.Trim(query.Get("!deltatoken"), "'"); token != "" && (token != "1" || !s.changed.Load()) {
		return 0, 0, 1 // nothing has changed since
	}
	var operator string
	var key int
	if n, _ := fmt.Sscanf(query.Get("$filter"), "OrderID %s %d", &operator, &key); n == 2 {
		switch operator {
		case "gt":
			low = key + 1
		case "ge":
			low = key
		case "lt":
			high = key
		case "le":
			high = key + 1
		}
	}
	from, to, step = low, high, 1
	if strings.HasSuffix(query.Get("$orderby"), " desc") {
		from, to, step = high-1, low-1, -1
	}
	skip, _ := strconv.Atoi(query.Get("$skip"))
	from += skip * step
	if top, err := strconv.Atoi(query.Get("$top")); err == nil && top < (to-from)*step {
		to = from + top*step
	}
	return from, to, step
}
