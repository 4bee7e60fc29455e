package main

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/zone"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-source 13"

// Context is what open worked out: what a context holds, and what an instance made of it.
type Context struct {
	origin uri.Origin
	// at is when the metadata came, in milliseconds since 1970.
	at int64
	// refresh is after how many milliseconds they are read again, 0: never for their age alone.
	refresh int
	feeds   []Feed
}

// packContext writes a context.
func packContext(o *Context) []byte {
	b := pack.Text(nil, contextVersion)
	b = pack.Text(pack.Text(b, o.origin.Scheme), o.origin.Host)
	b = pack.Texts(pack.Number(b, o.origin.Port), o.origin.Aliases)
	b = pack.Number(pack.Number(b, int(o.at)), o.refresh)
	b = pack.Number(b, len(o.feeds))
	for i := range o.feeds {
		f := &o.feeds[i]
		for _, s := range []string{f.number, f.service, f.set, f.topic, f.id, f.paging, f.cron, f.cursor,
			f.options.Zone.Name(),
			string(f.query), f.name, f.address} {
			b = pack.Text(b, s)
		}
		b = pack.Number(pack.Number(pack.Number(b, f.period), f.pageSize), f.lookback)
		b = pack.Number(pack.Number(b, f.toPartition), len(f.extra))
		for _, field := range f.extra {
			b = pack.Text(pack.Text(b, field.Name), field.Value)
		}
		for _, on := range []bool{f.count, f.atom, f.ordered, f.countable, f.pageable, f.options.PrimitiveDecimals,
			f.options.Lenient, f.options.Dates, f.options.Micros, f.headers} {
			b = pack.Flag(b, on)
		}
		b = pack.Number(pack.Number(b, f.options.ScaleFallback), int(f.options.Rounding))
		b = f.subscribing.pack(f.tracking.pack(b))
		b = f.odp.pack(pack.Flag(b, f.announced))
		b = pack.Texts(b, f.derived)
		b = edm.Pack(f.reads.Pack(b), f.model.Structures)
	}
	return b
}

// unpackContext reads a context and makes schemas and layouts anew.
func unpackContext(context []byte) (*Context, error) {
	r := pack.Open(context)
	if r.Text() != contextVersion {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
	}
	o := &Context{origin: uri.Origin{Scheme: r.Text(), Host: r.Text(), Port: r.Number(), Aliases: r.Texts()},
		at: int64(r.Number()), refresh: r.Number()}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		f := Feed{}
		for _, s := range []*string{&f.number, &f.service, &f.set, &f.topic, &f.id, &f.paging, &f.cron, &f.cursor,
			&f.zone,
			(*string)(&f.query), &f.name, &f.address} {
			*s = r.Text()
		}
		f.period, f.pageSize, f.lookback, f.toPartition = r.Number(), r.Number(), r.Number(), r.Number()
		for n := r.Count(); n > 0 && !r.Bad; n-- {
			f.extra = append(f.extra, wit.Setting{Name: r.Text(), Value: r.Text()})
		}
		for _, on := range []*bool{&f.count, &f.atom, &f.ordered, &f.countable, &f.pageable,
			&f.options.PrimitiveDecimals, &f.options.Lenient, &f.options.Dates,
			&f.options.Micros, &f.headers} {
			*on = r.Flag()
		}
		f.options.ScaleFallback, f.options.Rounding = r.Number(), edm.Rounding(r.Number())
		if f.zone != "" {
			f.options.Zone, _ = zone.Load(f.zone)
		}
		f.tracking.unpack(r)
		f.subscribing.unpack(r)
		f.options.Delta, f.announced = f.tracking.on || f.named(), r.Flag()
		f.odp = unpackODP(r)
		f.derived = r.Texts()
		f.reads = query.Unpack(r)
		f.reads.Zone = f.options.Zone
		f.model = edm.Unpack(r)
		if r.Bad || len(f.model.Structures) == 0 {
			break
		}
		o.feeds = append(o.feeds, f)
	}
	if !r.Done() {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the context can't be read"}
	}
	for i := range o.feeds {
		if err := o.feeds[i].compile(); err != nil {
			return nil, err
		}
	}
	return o, nil
}
