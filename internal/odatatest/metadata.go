package odatatest

import (
	"fmt"
	"strings"
)

// metadata answers with the $metadata document.
func (x *exchange) metadata() *fault {
	d := &edmx{x: x}
	if x.sw.Prefixes {
		d.edmx, d.m, d.edm = "x", "meta", "edm:"
	} else {
		d.edmx, d.m = "edmx", "m"
	}
	d.document()
	return x.text("application/xml;charset=utf-8", []byte(d.String()))
}

// edmx writes an EDMX document; the fields are the prefixes of its namespaces.
type edmx struct {
	strings.Builder
	x            *exchange
	edmx, m, edm string
}

func (d *edmx) f(format string, arguments ...any) { fmt.Fprintf(&d.Builder, format, arguments...) }

func (d *edmx) document() {
	mount, model := d.x.mount, d.x.model()
	d.f(`<?xml version="1.0" encoding="utf-8"?>`+"\n"+
		`<%s:Edmx Version="1.0" xmlns:%s="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:%s="%s"`, d.edmx, d.edmx,
		d.m, nsM)
	if mount.sap {
		d.f(` xmlns:sap="http://www.sap.com/Protocols/SAPData"`)
	}
	d.f(">\n<%s:DataServices %s:DataServiceVersion=\"2.0\">\n", d.edmx, d.m)
	d.schema(mount.namespace)
	for _, t := range model.tables {
		d.entityType(t)
	}
	for _, c := range model.complexTypes {
		d.f("<%sComplexType Name=\"%s\">\n", d.edm, c.name)
		for i := range c.properties {
			d.property(&c.properties[i])
		}
		d.f("</%sComplexType>\n", d.edm)
	}
	for _, a := range model.associations {
		d.association(a)
	}
	if mount.odp {
		d.odpTypes()
	}
	if !mount.sap { // Microsoft's Northwind keeps types and container apart
		d.f("</%sSchema>\n", d.edm)
		d.schema("ODataWeb.Northwind.Model")
	}
	d.container()
	d.f("</%sSchema>\n</%s:DataServices>\n</%s:Edmx>\n", d.edm, d.edmx, d.edmx)
}

func (d *edmx) schema(namespace string) {
	const edm2008 = "http://schemas.microsoft.com/ado/2008/09/edm"
	if d.edm == "" {
		d.f(`<Schema Namespace="%s" xmlns="%s"`, namespace, edm2008)
	} else {
		d.f(`<edm:Schema Namespace="%s" xmlns:edm="%s"`, namespace, edm2008)
	}
	if d.x.mount.sap {
		d.f(` sap:schema-version="1"`)
	}
	d.f(">\n")
}

func (d *edmx) entityType(t *table) {
	typ := t.typ
	d.f("<%sEntityType Name=\"%s\">\n<%sKey>\n", d.edm, typ.name, d.edm)
	for i := range typ.keys {
		d.f("<%sPropertyRef Name=\"%s\"/>\n", d.edm, typ.properties[i].name)
	}
	d.f("</%sKey>\n", d.edm)
	for i := range typ.properties {
		d.property(&typ.properties[i])
	}
	for _, n := range typ.navigations {
		from, to := n.join.dependent.name, n.join.principal.name
		if n.many {
			from, to = to, from
		}
		d.f("<%sNavigationProperty Name=\"%s\" Relationship=\"%s.%s\" FromRole=\"%s\" ToRole=\"%s\"/>\n", d.edm, n.name,
			d.x.mount.namespace, n.join.name, from, to)
	}
	d.f("</%sEntityType>\n", d.edm)
}

func (d *edmx) property(p *property) {
	name := p.kind.String()
	if p.complex != nil {
		name = d.x.mount.namespace + "." + p.complex.name
	}
	d.f(`<%sProperty Name="%s" Type="%s" Nullable="%t"`, d.edm, p.name, name, p.nullable)
	switch {
	case p.maxLength > 0:
		d.f(` MaxLength="%d"`, p.maxLength)
	case p.maxLength < 0:
		d.f(` MaxLength="Max"`)
	}
	switch p.kind {
	case decimalKind:
		d.f(` Precision="%d" Scale="%d"`, p.precision, p.scale)
	case dateTimeKind:
		if d.x.mount.sap {
			d.f(` Precision="7"`)
		}
	case stringKind:
		if !d.x.mount.sap {
			d.f(` Unicode="true" FixedLength="false"`)
		}
	}
	if p.version {
		d.f(` ConcurrencyMode="Fixed"`)
	}
	if p.identity && !d.x.mount.sap {
		d.f(` p8:StoreGeneratedPattern="Identity" xmlns:p8="http://schemas.microsoft.com/ado/2009/02/edm/annotation"`)
	}
	if d.x.mount.sap {
		d.f(` sap:label="%s"%s`, p.name, p.sap)
	}
	d.f("/>\n")
}

func (d *edmx) association(a *association) {
	namespace, one := d.x.mount.namespace, "1"
	if a.optional {
		one = "0..1"
	}
	d.f("<%sAssociation Name=\"%s\">\n", d.edm, a.name)
	d.f("<%sEnd Role=\"%s\" Type=\"%s.%s\" Multiplicity=\"%s\"/>\n", d.edm, a.principal.name, namespace,
		a.principal.typ.name, one)
	d.f("<%sEnd Role=\"%s\" Type=\"%s.%s\" Multiplicity=\"*\"/>\n", d.edm, a.dependent.name, namespace,
		a.dependent.typ.name)
	d.f("<%sReferentialConstraint><%sPrincipal Role=\"%s\">", d.edm, d.edm, a.principal.name)
	for i := range a.foreign {
		d.f("<%sPropertyRef Name=\"%s\"/>", d.edm, a.principal.typ.properties[i].name)
	}
	d.f("</%sPrincipal><%sDependent Role=\"%s\">", d.edm, d.edm, a.dependent.name)
	for _, i := range a.foreign {
		d.f("<%sPropertyRef Name=\"%s\"/>", d.edm, a.dependent.typ.properties[i].name)
	}
	d.f("</%sDependent></%sReferentialConstraint>\n</%sAssociation>\n", d.edm, d.edm, d.edm)
}

func (d *edmx) container() {
	mount, model := d.x.mount, d.x.model()
	d.f(`<%sEntityContainer Name="%s" %s:IsDefaultEntityContainer="true"`, d.edm, mount.container, d.m)
	if mount.sap {
		d.f(` sap:supported-formats="atom json"`)
	}
	d.f(">\n")
	for _, t := range model.tables {
		d.f(`<%sEntitySet Name="%s" EntityType="%s.%s"`, d.edm, t.name, mount.namespace, t.typ.name)
		if mount.sap {
			d.f(` sap:content-version="1"`)
			if d.x.sw.Delta == "" || d.x.sw.Delta == "silent" {
				d.f(` sap:change-tracking="true"`)
			}
			if d.x.sw.RefuseCount {
				d.f(` sap:countable="false"`)
			}
		}
		d.f("/>\n")
	}
	for _, a := range model.associations {
		d.f("<%sAssociationSet Name=\"%s\" Association=\"%s.%s\"><%sEnd Role=\"%s\" EntitySet=\"%s\"/><%sEnd "+
			"Role=\"%s\" EntitySet=\"%s\"/></%sAssociationSet>\n", d.edm, a.name, mount.namespace, a.name, d.edm,
			a.principal.name, a.principal.name, d.edm, a.dependent.name, a.dependent.name, d.edm)
	}
	if mount.odp {
		d.odpFunctions()
	}
	d.f("</%sEntityContainer>\n", d.edm)
}

// serviceDocument lists the entity sets.
func (x *exchange) serviceDocument() *fault {
	tables := x.model().tables
	if x.json {
		b := []byte(`{"d":{"EntitySets":[`)
		for i, t := range tables {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONText(b, []byte(t.name))
		}
		return x.text("application/json;charset=utf-8", append(b, "]}}"...))
	}
	p := ""
	declarations := ` xmlns="http://www.w3.org/2007/app" xmlns:atom="` + nsAtom + `"`
	if x.sw.Prefixes {
		p, declarations = "app:", ` xmlns:app="http://www.w3.org/2007/app" xmlns:atom="`+nsAtom+`"`
	}
	b := fmt.Appendf(nil,
		`<?xml version="1.0" encoding="utf-8"?><%sservice xml:base="%s"%s><%sworkspace><atom:title>Default</atom:title>`, p, x.base, declarations, p)
	for _, t := range tables {
		b = fmt.Appendf(b, `<%scollection href="%s"><atom:title>%s</atom:title></%scollection>`, p, t.name, t.name, p)
	}
	b = fmt.Appendf(b, `</%sworkspace></%sservice>`, p, p)
	if x.mount.sap {
		return x.text("application/atomsvc+xml", b)
	}
	return x.text("application/xml;charset=utf-8", b)
}
