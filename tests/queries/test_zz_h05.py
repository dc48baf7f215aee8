from __future__ import annotations
import types as ty
import sqlalchemy as sa
from nova_sqlcore import tables, tx, api
from nova_sqlcore.queries import flavors, flavor_access, flavor_extra_specs, block_devices
from tests.recorded.replay import Replay, records

def test_trace(backend, frozen_clock):
    ns = ty.SimpleNamespace(**{n:getattr(api,n) for n in api.__all__})
    for m in (flavors, flavor_access, flavor_extra_specs, block_devices):
        for n in dir(m):
            if n.startswith(("flavor_","block_device_mapping_")): setattr(ns,n,getattr(m,n))
    def instance_create(context, values):
        with tx.writer(context) as t:
            return t.insert(tables.instances, values, ignore=[k for k in values if k not in tables.instances.c])
    def instance_destroy(context, uuid, constraint=None):
        with tx.writer(context) as t:
            i=tables.instances; t.execute(sa.update(i).where(i.c.uuid==uuid).values(deleted=i.c.id))
            b=tables.block_device_mapping
            t.execute(sa.update(b).where(b.c.instance_uuid==uuid).values(deleted=b.c.id,updated_at=b.c.updated_at))
    ns.instance_create=instance_create
    ns.instance_destroy=instance_destroy
    with backend.new_database() as url:
        e=sa.create_engine(url, poolclass=sa.NullPool); tables.metadata.create_all(e)
        with e.begin() as c:
            for i,n,m,v,r,f in ((1,"m1.medium",4096,2,40,'3'),(2,"m1.tiny",512,1,1,'1'),(3,"m1.large",8192,4,80,'4'),(4,"m1.xlarge",16384,8,160,'5'),(5,"m1.small",2048,1,20,'2')):
                c.execute(sa.insert(tables.instance_types).inline().values(id=i,name=n,memory_mb=m,vcpus=v,root_gb=r,flavorid=f,ephemeral_gb=0,swap=0,rxtx_factor=1.0,disabled=False,is_public=True,deleted=0,created_at=None))
            c.execute(sa.update(tables.instance_types).values(created_at=None,updated_at=None))
            if backend.name=="postgresql": c.exec_driver_sql("select setval('instance_types_id_seq', 5)")
        tx.close(); tx.configure(url)
        try:
            wrong=list(Replay(ns, backend.name, frozen_clock).mismatches(records("trace.jsonl.gz")))
        finally:
            tx.close(); tx.configure(backend.url)
    mine=[w for w in wrong if w.split()[1].startswith(("flavor","block_device"))]
    print(len(wrong), "\n".join(mine)); assert not mine, "\n".join(mine)
