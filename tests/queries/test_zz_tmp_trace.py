import importlib, pkgutil, types
from nova_sqlcore import queries, tables, tx, api
from tests.recorded.replay import Replay, records
def test_trace(backend, frozen_clock):
    ns=types.SimpleNamespace(**{k:getattr(api,k) for k in dir(api) if not k.startswith("__")})
    missing=set()
    for m in pkgutil.iter_modules(queries.__path__):
        if m.name.startswith("_"): continue
        try: mod=importlib.import_module("nova_sqlcore.queries."+m.name)
        except Exception as e: print("IMPORT",m.name,e); continue
        for k,v in vars(mod).items():
            if callable(v) and getattr(v,"__module__","")==mod.__name__: setattr(ns,k,v)
    recs=records("trace.jsonl.gz")
    for r in recs:
        if not hasattr(ns,r["function"]): missing.add(r["function"])
    print("MISSING", sorted(missing))
    recs=[r for r in recs if r["function"] not in missing]
    wrong=list(Replay(ns, backend.name, frozen_clock).mismatches(recs))
    q=[w for w in wrong if "quota" in w.split(":")[0] or "reservation" in w.split(":")[0] or "bulk_destroy" in w or "_class" in w]
    print("\n".join(q)); print(len(wrong))
    assert not q
