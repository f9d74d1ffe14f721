import sys,time,tempfile,json
from pathlib import Path
from random import Random
from scripts.fuzzing import cases
from scripts.fuzzing.session import Runner
from scripts.fuzzing.finding import smallest, fault_of
import scripts.fuzzing.session as S
S.PATIENCE_S=3.0
kind=sys.argv[1]; n=int(sys.argv[2]); seed=sys.argv[3]
r=Runner(Path(tempfile.mkdtemp()))
t=time.time(); c0=time.process_time(); bad=0
for c in range(n):
    steps={"edits":cases.edit_case,"messages":cases.message_case,"stream":cases.stream_case}[kind](Random(f"{seed} {c}"))
    e=fault_of(r.run,steps)
    if e:
        bad+=1; print("CASE",c,type(e).__name__,str(e)[:100],"...",str(e)[-400:])
        small=smallest(r.run,steps); print(len(small),"STEPS",json.dumps(small)[:1500]); print("->",repr(fault_of(r.run,small))[-700:])
        if bad>3: break
print(time.time()-t, n*200/(time.time()-t), n*200/(time.process_time()-c0))
