package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

const longPage = 1000

type longLoad struct {
	set   set
	pages int
	links string // next links contain the last key (key) or a count of rows (offset)
}

func (l longLoad) rows() int { return l.pages * longPage }

// measureLong measures feeds of many pages in delta mode: the worker's memory must not grow with them. The keys of sets
// whose next links count rows are read a second time.
func measureLong(ctx context.Context, b *bench) error {
	broker, err := b.startBroker(ctx, "broker-long")
	if err != nil {
		return err
	}
	defer broker.stop()
	loads := []longLoad{
		{set: orders, pages: 1, links: "key"},
		{set: orders, pages: b.scale(100), links: "key"},
		{set: orders, pages: b.scale(100), links: "offset"},
		{set: orders, pages: b.scale(1000), links: "key"},
		{set: orders4, pages: b.scale(1000), links: "key"},
	}
	measurements, err := b.interleave(len(loads), func(round, i int, side candidate) (usage, error) {
		return b.runLong(ctx, side, fmt.Sprintf("long-%d-%d-%s", i, round+1, side.data), broker.address, loads[i])
	})
	if err != nil {
		return err
	}
	fmt.Printf("a set in delta mode, pages of %d rows: its first load, by the kind of next links; json4 is OData v4; "+
		"CPU of the worker; µs/row leaves out the CPU of a load of one page; medians of %d rounds\n",
		longPage, b.rounds)
	fmt.Println("pages  format  next links    s CPU   µs/row   peak MiB")
	for i, l := range loads {
		m := measurements[i]
		perRow := (median(m.cpu[0]) - median(measurements[0].cpu[0])) / float64(l.rows()) * 1e6
		fmt.Printf("%5d  %-6s  %-10s %8.2f  %7.2f  %9.0f\n", l.pages, l.set.format, l.links, median(m.cpu[0]), perRow,
			median(m.peak[0]))
		if b.against != "" {
			fmt.Printf("  ratios to %s: processor time %s, MiB %s\n", b.against, ratioOf(m.cpu), ratioOf(m.peak))
		}
	}
	return nil
}

func (b *bench) runLong(ctx context.Context, side candidate, name, broker string, load longLoad) (u usage, err error) {
	service, err := b.startDemo(ctx, "--rows", strconv.Itoa(load.pages*longPage), "--page-size", strconv.Itoa(longPage),
		"--switch", "delta=links", "--switch", "skiptoken="+load.links)
	if err != nil {
		return u, err
	}
	defer service.stop()
	worker, err := b.writeFile(name+"-worker", workerSettings(name, broker))
	if err != nil {
		return u, err
	}
	settings := strings.ReplaceAll(connectorSettings(name, service.port(), load.set), "sap.odata.page.size=2000000\n", "")
	connector, err := b.writeFile(name, settings+"sap.odata#00.track-changes=1\nsap.odata#00.exec-period=3600\n")
	if err != nil {
		return u, err
	}
	u, log, err := b.runWorker(ctx, side, worker, connector)
	if want := " rows=" + strconv.Itoa(load.rows()) + " "; err == nil && !strings.Contains(log, want) {
		err = fmt.Errorf("expected %s, found %s", want, log)
	}
	return u, err
}
