using { peer as db } from '../db/schema';

// The sets for tests of OData v4, at /odata/v4/peer4. The service PeerService, which the adapter for v2 serves, has none of them.
@path : 'peer4'
@requires : 'any'
service Peer4Service {
  entity Products      as projection on db.Products;
  entity Categories    as projection on db.Categories;
  entity Orders        as projection on db.Orders;
  entity OrderItems    as projection on db.OrderItems;
  entity ScheduleLines as projection on db.ScheduleLines;
  entity Prices        as projection on db.Prices;
  entity AllTypes      as projection on db.AllTypes;
  entity Values        as projection on db.Values;
  entity Documents     as projection on db.Documents;
  entity Bags          as projection on db.Bags;
  @odata.singleton
  entity Settings      as projection on db.Settings;
  @odata.draft.enabled
  @odata.draft.bypass // active rows can be written directly
  entity Requests      as projection on db.Requests;
  entity RequestLines  as projection on db.RequestLines;
}

annotate Peer4Service.Orders with { modifiedAt @odata.etag; }
