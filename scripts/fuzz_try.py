import sys,time,tempfile,cProfile
from pathlib import Path
from random import Random
from scripts.fuzzing import edits, mutations
from scripts.fuzzing.session import Runner
import json
kind=sys.argv[1]; n=int(sys.argv[2]); seed=int(sys.argv[3])
r=Runner(Path(tempfile.mkdtemp()))
t=time.time()
def gen(kind,ch,size=200):
    if kind=="edits": return [{"own":m} for m in edits.sequence(ch,size)]
    own=edits.sequence(ch,size//4)
    out=[{"own":m} for m in own]
    for _ in range(size-len(own)):
        b=mutations.body(ch)
        if kind=="messages": s={"raw":b.decode("latin-1")}
        else:
            data=b"".join((mutations.frame(mutations.body(ch)) if ch.randrange(2) else mutations.mangled(mutations.body(ch),ch)) for _ in range(3))
            s={"stream":data.decode("latin-1")}
        out.insert(ch.randrange(len(out)+1),s)
    return out
import traceback
bad=0
def main():
    global bad
    for c in range(n):
        ch=Random(f"{seed} {c}")
        steps=gen(kind,ch)
        steps.insert(0,{"encoding":ch.choice(["utf-8","utf-16","utf-32"])})
        try: r.run(steps)
        except Exception as e:
            bad+=1
            print("CASE",c,type(e).__name__,str(e)[:100],str(e)[-300:])
            if bad<2: traceback.print_exc(limit=-1)
            if bad>8: break
if len(sys.argv)>4: cProfile.run("main()",sort="cumtime")
else: main()
print(time.time()-t, n*200/(time.time()-t))
